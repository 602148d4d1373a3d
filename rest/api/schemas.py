"""Pydantic models of the API's requests and responses, from which the OpenAPI description is made, too."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from msas.job import SONGHASH, Stage, Status
from msas.options import CHOICES, Options
from msas.report import Report

MOST_WAIT = 60.0  # seconds
MOST_SONGS = 500  # of which one call asks for the status
MOST_LINKS = 50  # that one call asks for

Status.__qualname__ = "State"  # its name in the OpenAPI description, which generated clients may use
Songhash = Annotated[str, WithJsonSchema({"type": "string", "pattern": f"^{SONGHASH.pattern}$"})]
# What is asked for in the path is looked up, not checked: whatever is not there is a 404.


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class ProblemAnswer(Answer):
    """What was wrong and what to do (RFC 9457). `code` is stable; `detail` is for people."""

    title: str
    detail: str
    status: int
    code: str


class Taken(Answer):
    """The song's hash, whether it is new or known; what becomes of it is under /apiv1/status."""

    hash: Songhash
    reason: str
    status: Status
    model: str


class Line(Answer):
    """Songhashes, oldest first: that wait, that run, and that wait for their next attempt."""

    queue: list[Songhash]
    running: list[Songhash]
    waiting_retry: list[str]


class TrackAnswer(Answer):
    """A stem: its path here, its size in bytes and its length in seconds."""

    name: str
    url: str
    bytes: int
    seconds: float


class Failure(Answer):
    """Why a job failed, or why it is being tried again."""

    code: str
    message: str


def _to_json(value: Any) -> Any:
    return value.to_json() if isinstance(value, Options | Report) else value


def _format_time(value: Any) -> Any:
    return value.isoformat(timespec="milliseconds") if isinstance(value, datetime) else value


_Time = Annotated[str | None, BeforeValidator(_format_time)]
_JsonObject = Annotated[dict[str, Any] | None, BeforeValidator(_to_json)]


class LoadingAnswer(Answer):
    """The download of a model's weights; `total_bytes` is 0 before the model hub has told it."""

    model: str
    bytes: int
    total_bytes: int


class StatusAnswer(Answer):
    """A job. `progress` is 0 to 1; `queue_position` counts from 1; moments are ISO 8601 in UTC."""

    hash: Songhash
    status: Status
    stage: Stage | None
    progress: Annotated[float, AfterValidator(lambda value: round(value, 4)), Field(ge=0, le=1)]
    loading: LoadingAnswer | None = Field(
        description="in the stage `loading model`, how far the download of its weights is; null where there is none"
    )
    queue_position: int | None
    eta_seconds: float | None
    attempt: int
    model: str | None
    options: _JsonObject
    name: str
    seconds: float | None
    tempo_bpm: float | None = Field(description="beats a minute; null where the song has no steady beat, or no drums")
    tempo_confidence: float | None = Field(description="0 to 1")
    key: str | None = Field(description="as `F# minor`; null where the song has none, or no pitched stem was made")
    key_confidence: float | None = Field(description="0 to 1")
    enqueued_at: _Time
    started_at: _Time
    ended_at: _Time
    tracks: list[TrackAnswer]
    mixture: TrackAnswer | None = Field(description="the song itself, encoded as its stems are")
    report: _JsonObject
    error: Failure | None
    callback: dict[str, Any] | None


class StatusesAnswer(Answer):
    """The jobs of the songs that were asked about, in that order, and which of the songhashes are those of no job."""

    songs: list[StatusAnswer]
    unknown: list[str]


class TrackPeaks(Answer):
    """Of each stretch in turn the lowest and the highest value, signed bytes (full scale: 127) in base64; and the byte
    of the file at which each slice begins."""

    peaks: str
    starts: list[int]


class PeaksAnswer(Answer):
    """`rate` in Hz, `samples` of each track, `per_peak` and `slice` in samples; tracks and `mixture` by name."""

    hash: Songhash
    rate: int
    samples: int
    per_peak: int
    slice: int
    tracks: dict[str, TrackPeaks]


class Removed(Answer):
    hash: Songhash
    reason: str
    track: str | None = None


class LinksAnswer(Answer):
    """The links, in the order of the paths; each is a path with a query."""

    links: list[str]


class ModelAnswer(Answer):
    """A model on offer: the stems that it yields, a sentence about it, and facts about its weights."""

    name: str
    stems: list[str]
    about: str
    licence: str = Field(description="of the weights; empty: not stated")
    origin: str = Field(description="where the weights come from; empty: not stated")
    size_mb: float | None = Field(description="of the download, in MB; null where it is not known")
    quality: str = Field(description="as it was published, with the source; empty where it was not")
    cached: bool = Field(description="false: a worker downloads the weights when the model is first asked for")
    seconds_per_minute: float | None = Field(
        description="seconds of computing for a minute of song, measured on such workers; null before the first song"
    )


class ModelsAnswer(Answer):
    models: list[ModelAnswer]
    default: str
    max_upload_mb: int = Field(description="how large a song may be")
    room: bool = Field(description="false while the queue or the store holds as much as it may: a new song is refused")


class Health(Answer):
    status: Literal["live", "ready"]
    loading: list[LoadingAnswer] = Field(description="models whose weights a worker downloads at the moment")


class SongPath(BaseModel):
    songhash: Songhash


class StemPath(SongPath):
    track: str = Field(description="`vocals` or `vocals.mp3`; `base.mp3` is the bass, too")


class ArchivePath(BaseModel):
    archive: Annotated[
        str,
        WithJsonSchema({"type": "string", "pattern": f"^{SONGHASH.pattern}\\.zip$"}),
        Field(description="the songhash, and .zip"),
    ]


def _wait(given: Any) -> float:
    """Whatever is no number of seconds means not to wait: it is a wish, not a condition."""
    try:
        seconds = float(given)
    except (TypeError, ValueError):
        return 0.0
    return min(max(seconds, 0.0), MOST_WAIT) if seconds == seconds else 0.0


class _Query(BaseModel):
    @classmethod
    @cache
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """Return the schema. flask-openapi3 asks for it at each call, and pydantic takes as long as the call itself."""
        return super().model_json_schema(*args, **kwargs)


class StatusQuery(_Query):
    wait: Annotated[
        float,
        BeforeValidator(_wait),
        WithJsonSchema({"type": "number", "minimum": 0, "maximum": MOST_WAIT, "default": 0}),
        Field(description="seconds to wait for a change, at most 60; with If-None-Match, for one since that ETag"),
    ] = 0.0


def _count(default: int, least: int, most: int) -> Any:
    """Return the type of a count in a query. What is no number is the default; others are brought into the range."""

    def read(given: Any) -> int:
        try:
            return min(max(int(given), least), most)
        except (TypeError, ValueError):
            return default

    schema = {"type": "integer", "minimum": least, "maximum": most, "default": default}
    return Annotated[int, BeforeValidator(read), WithJsonSchema(schema)]


class QueueQuery(_Query):
    limit: _count(1000, 1, 1000) = 1000  # type: ignore[valid-type]
    offset: _count(0, 0, 2**53) = 0  # type: ignore[valid-type]


def list_request(field: str, most: int, about: str) -> dict[str, Any]:
    """Return the contract of a body that is an object with a list of strings in `field`."""
    items = {"type": "array", "items": {"type": "string"}, "maxItems": most, "description": about}
    content = {"type": "object", "required": [field], "properties": {field: items}}
    return {"required": True, "content": {"application/json": {"schema": content}}}


def song_request() -> dict[str, Any]:
    """Return the body of POST /apiv1/separate for the contract; the options are those that `msas.options` reads."""
    options = {name: {**choice.schema, "description": choice.about} for name, choice in CHOICES.items()}
    common = {
        "model": {"type": "string", "description": "one of /apiv1/models; its default where absent"},
        "name": {"type": "string", "description": "the song's file name, for people and for downloads"},
        **options,
    }
    callback = {
        "type": "object",
        "required": ["url"],
        "properties": {"url": {"type": "string", "format": "uri"}, "data": {}},
        "description": "`data` is POSTed to `url` once the job has ended",
    }
    in_base64 = {"type": "string", "contentEncoding": "base64", "description": "the song, in base64"}
    in_json = {"mp3": in_base64, "callback": callback, **common}
    in_form = {"file": {"type": "string", "format": "binary"}, **common}
    return {
        "required": True,
        "content": {
            "application/json": {"schema": {"type": "object", "required": ["mp3"], "properties": in_json}},
            "multipart/form-data": {"schema": {"type": "object", "required": ["file"], "properties": in_form}},
            **{
                kind: {"schema": {"type": "string", "format": "binary"}}
                for kind in ("audio/mpeg", "audio/wav", "audio/flac", "application/octet-stream")
            },
        },
    }
