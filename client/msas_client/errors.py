"""The client's exceptions, and how an HTTP error response becomes one of them."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime


class MsasError(Exception):
    """Its text is a sentence for people, its `code` a word for programs.

    MsasError
    ├── NotReachable       nobody answers at that address, or the connection broke
    ├── Refused            the service said no; `code`, `status` and the sentence say why
    │   ├── Unauthorized   401: a key is needed, or it is a wrong one
    │   ├── NotFound       404: there is no such song or stem
    │   ├── NotReady       409: the song is not separated yet, or could not be
    │   ├── BadSong        413, 415, 422: this song, or an option, can not be taken
    │   └── Busy           429, 503: not now; `retry_after` says in how many seconds
    └── Failed             the song was taken, but could not be separated; `code` says why
    """

    code = "error"


class NotReachable(MsasError):
    """Nobody answers at that address, or the connection broke, or what answers there is another service."""

    code = "not_reachable"


class Refused(MsasError):
    """The service answered with a problem: its stable `code`, the HTTP `status`, a sentence, and, where it said so,
    after how many seconds to try again."""

    def __init__(self, detail: str, code: str, status: int, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.code, self.status, self.retry_after = code, status, retry_after


class Unauthorized(Refused):
    """A key is needed, or it is a wrong one."""


class NotFound(Refused):
    """There is no such song or stem."""


class NotReady(Refused):
    """The song is not separated yet, or could not be."""


class BadSong(Refused):
    """This song, or an option, can not be taken."""


class Busy(Refused):
    """Not now."""


class Failed(MsasError):
    """The job ended without stems."""

    def __init__(self, detail: str, code: str) -> None:
        super().__init__(detail)
        self.code = code


_KINDS: dict[int, type[Refused]] = {
    401: Unauthorized,
    404: NotFound,
    409: NotReady,
    413: BadSong,
    415: BadSong,
    422: BadSong,
    429: Busy,
    503: Busy,
}


def refusal(status: int, reason: str, problem: object, retry_after: str | None) -> Refused:
    """Return the error that an answer means; `problem` is its body as JSON, whatever that may be."""
    given = problem if isinstance(problem, dict) else {}
    detail = given.get("detail") or f"The service answered {status} {reason}".rstrip() + "."
    return _KINDS.get(status, Refused)(str(detail), str(given.get("code", "unknown")), status, _seconds(retry_after))


def _seconds(retry_after: str | None) -> float | None:
    """Read Retry-After: seconds, or, as a proxy in between may have it, a moment."""
    if not retry_after:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return None
