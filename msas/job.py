"""What a job is: one song, one set of options, one songhash."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, BinaryIO, TypeVar

from msas.errors import BadOption
from msas.options import Options

_T = TypeVar("_T")
SONGHASH = re.compile(r"[0-9a-f]{56}")
_NAME_LENGTH = 200
_CHUNK = 256 * 1024


class Status(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Stage(StrEnum):
    """What a running job is doing, in order."""

    FETCHING = "fetching"
    DECODING = "decoding"
    SEPARATING = "separating"
    ENCODING = "encoding"
    STORING = "storing"


class BrokenMessage(ValueError):
    """A message on the queue that is no job; the text says why. It belongs in the dead list."""


def songhash(song: BinaryIO, options: Options) -> str:
    """Return the identity of this song with these options: SHA-224 as 56 hex characters. Reads `song` to its end."""
    digest = hashlib.sha224(options.canonical() + b"\n")
    while chunk := song.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def song_name(given: object) -> str:
    """Return a song's file name, for people, out of what a stranger gave: no folders, nothing unprintable."""
    last = re.split(r"[/\\]", given)[-1] if isinstance(given, str) else ""
    return "".join(c for c in last if c.isprintable())[:_NAME_LENGTH].strip()


@dataclass(frozen=True)
class Job:
    """One request to separate one song. `options` is None where a foreign producer left the choice to us.

    `name` is the song's file name, for people. `song` is set only by messages of the first version's
    shape, which carry the song itself; otherwise it lies in the store under the songhash. `seconds` is how long
    the song's container says that it is, None where it says nothing; `owner` the name of the key that sent it;
    `request_id` the request's, so that the logs of all services tell one story.
    """

    songhash: str
    options: Options | None = None
    name: str = ""
    callback: dict[str, Any] | None = None
    seconds: float | None = None
    owner: str = ""
    request_id: str = ""
    song: bytes | None = field(default=None, repr=False)

    def message(self) -> bytes:
        """Return the job as it waits on the queue: one JSON object, its hash first."""
        content: dict[str, Any] = {"hash": self.songhash, "name": self.name}
        if self.options:
            content["options"] = json.loads(self.options.canonical())
        more = {n: getattr(self, n) for n in ("callback", "seconds", "owner", "request_id")}
        content |= {name: value for name, value in more.items() if value}
        return json.dumps(content, separators=(",", ":")).encode()

    @classmethod
    def from_message(cls, message: bytes) -> Job:
        """Read a message: ours, or the first version's `{"hash": ..., "data": "<base64 MP3>"}`.

        Raises BrokenMessage where it is neither.
        """
        try:
            content = json.loads(message.decode())
        except (ValueError, RecursionError):
            raise BrokenMessage("the message is not JSON") from None
        if not isinstance(content, dict):
            raise BrokenMessage("the message is not a JSON object")
        identity = content.get("hash")
        if not isinstance(identity, str) or not SONGHASH.fullmatch(identity):
            raise BrokenMessage("the message has no 'hash' of 56 hex characters")
        callback = content.get("callback")
        return cls(
            songhash=identity,
            options=_options_inside(content),
            name=song_name(content.get("name")),
            callback=callback if isinstance(callback, dict) else None,
            seconds=_of(float, content.get("seconds")),
            owner=_of(str, content.get("owner")) or "",
            request_id=_of(str, content.get("request_id")) or "",
            song=_song_inside(content),
        )


def _of(kind: type[_T], given: object) -> _T | None:
    """Return what a stranger gave where it is of that kind."""
    return given if isinstance(given, kind) else None


def _options_inside(content: Mapping[str, Any]) -> Options | None:
    """Read the message's options, or a foreign message's bare `model`; None where it leaves the choice to us."""
    options = content.get("options")
    given = options if isinstance(options, dict) and options.get("model") else {"model": content.get("model")}
    model = given["model"]
    if not model:
        return None
    if not (isinstance(model, str) and model.isprintable()):
        raise BrokenMessage("the message's 'model' is not a model's name")
    try:
        return Options.understand(given)
    except BadOption as problem:
        raise BrokenMessage(problem.detail) from None


def _song_inside(content: Mapping[str, Any]) -> bytes | None:
    if "data" not in content:
        return None
    try:
        return base64.b64decode(content["data"], validate=True)
    except (ValueError, TypeError):
        raise BrokenMessage("the message's 'data' is not base64") from None
