"""The errors that callers can get: REST answers with them, workers store them in the job."""

from __future__ import annotations


class Problem(Exception):
    """An error for the caller: one sentence that says what was wrong and what to do.

    Problem
    ├── BadSong            the song can never be separated; another attempt is useless
    │   ├── EmptySong
    │   ├── NotAudio
    │   ├── NoAudioStream
    │   ├── TooShort
    │   ├── TooLong
    │   ├── TooCostly, TooLargeOutput
    │   └── SongMissing
    ├── ModelUnavailable
    ├── StoreRefused
    ├── BadRequest         NotJson, MissingSong, BadBase64, BadOption, TooLarge, UnknownBody
    ├── Unauthorized
    ├── CrossSite          a web page of another site sent the request
    ├── UnknownHost        the request's Host is not a name of this service
    ├── TooMany            too many requests, waiting songs, or pending callbacks
    ├── NotFound           UnknownSong, UnknownStem
    ├── Conflict           NotReady, NotFailed, SharedSong
    ├── BadRange
    └── Unavailable        a server is away or full; the same call may succeed later
        ├── QueueUnavailable
        ├── StoreUnavailable
        ├── StoreFull
        ├── BeingRemoved
        ├── QueueFull      RedisFull, which is also a QueueUnavailable
        ├── TooBusy
        └── NoWorker

    `code` is stable; `status` is the HTTP status; `title` describes the code.
    """

    code = "internal_error"
    status = 500
    title = "Something went wrong on our side"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class BadSong(Problem):
    status = 422


class EmptySong(BadSong):
    code, title = "empty_song", "The song is empty"


class NotAudio(BadSong):
    code, status, title = "not_audio", 415, "Not an audio file"


class NoAudioStream(BadSong):
    code, title = "no_audio_stream", "The file has no sound"


class TooShort(BadSong):
    code, title = "too_short", "The song is too short"


class TooLong(BadSong):
    code, title = "too_long", "The song is too long"


class TooCostly(BadSong):
    code, title = "too_costly", "The separation would cost too much"


class TooLargeOutput(BadSong):
    code, title = "too_large_output", "The stems would be too large"


class SongMissing(BadSong):
    """The job exists, but its song is not in the store."""

    code, status, title = "song_missing", 404, "The song is gone"


class ModelUnavailable(Problem):
    """The worker can not load the model's weights."""

    code, status, title = "model_unavailable", 503, "The model can not be loaded"


class StoreRefused(Problem):
    """The store refuses the stems for a lasting reason, so that another separation would be useless."""

    code, title = "store_refused", "The store refuses the stems"


class BadRequest(Problem):
    code, status, title = "bad_request", 400, "The request could not be understood"


class NotJson(BadRequest):
    code, title = "not_json", "The body is not JSON"


class MissingSong(BadRequest):
    code, title = "missing_song", "The request holds no song"


class BadBase64(BadRequest):
    code, title = "bad_base64", "The song is not base64"


class BadOption(BadRequest):
    code, status, title = "bad_option", 422, "An option can not be honoured"


class TooLarge(BadRequest):
    code, status, title = "too_large", 413, "The song is too large"


class UnknownBody(BadRequest):
    code, status, title = "unknown_body", 415, "The body is of an unknown kind"


class Unauthorized(Problem):
    code, status, title = "unauthorized", 401, "A key is needed"


class CrossSite(Problem):
    code, status, title = "cross_site", 403, "Sent by another web page"


class UnknownHost(Problem):
    code, status, title = "unknown_host", 421, "Not a name of this service"


class TooMany(Problem):
    code, status, title = "too_many", 429, "Too many requests"

    def __init__(self, detail: str, retry_after_seconds: int) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class NotFound(Problem):
    code, status, title = "not_found", 404, "Not found"


class UnknownSong(NotFound):
    code, title = "unknown_song", "No such song"


class UnknownStem(NotFound):
    code, title = "unknown_stem", "No such stem"


class Conflict(Problem):
    code, status, title = "conflict", 409, "Not possible in this status"


class NotReady(Conflict):
    code, title = "not_ready", "The stems are not ready"


class SharedSong(Conflict):
    code, title = "shared_song", "Another key sent this song, too"


class NotFailed(Conflict):
    code, title = "not_failed", "Only a song that failed can be tried again"


class BadRange(Problem):
    """`size` is that of the file in bytes."""

    code, status, title = "bad_range", 416, "The range lies outside"

    def __init__(self, detail: str, size: int) -> None:
        super().__init__(detail)
        self.size = size


class Unavailable(Problem):
    code, status, title = "unavailable", 503, "Temporarily unavailable"
    retry_after_seconds = 2


class QueueUnavailable(Unavailable):
    code, title = "queue_unavailable", "The queue can not be reached"


class StoreUnavailable(Unavailable):
    """With `is_lasting`, the same call fails until the operator changes something."""

    code, title = "store_unavailable", "The store can not be reached"

    def __init__(self, detail: str, *, is_lasting: bool = False) -> None:
        super().__init__(detail)
        self.is_lasting = is_lasting


class TooBusy(Unavailable):
    code, title = "too_busy", "Too many requests are in progress"
    retry_after_seconds = 5


class NoWorker(Unavailable):
    code, title = "no_worker", "No worker has come up yet"


class BeingRemoved(Unavailable):
    code, title = "being_removed", "The song is being removed"


class QueueFull(Unavailable):
    code, title = "queue_full", "The queue is full"
    retry_after_seconds = 30


class StoreFull(Unavailable):
    code, title = "store_full", "The store is full"
    retry_after_seconds = 60


class RedisFull(QueueFull, QueueUnavailable):
    """Redis uses all of its maxmemory, and refuses commands that need more."""
