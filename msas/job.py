"""A job (one song with one set of options), its songhash, status and stages, and its message on the queue."""

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
    """The stages of a running job, in order."""

    LOADING = "loading model"
    FETCHING = "fetching"
    DECODING = "decoding"
    SEPARATING = "separating"
    ENCODING = "encoding"
    STORING = "storing"


class BrokenMessage(ValueError):
    """A message on the queue that is no job; the text says why. It becomes a dead letter."""


def compute_songhash(song: BinaryIO, options: Options) -> str:
    """Return the identity of the song with the options: SHA-224 in 56 hex characters. Reads `song` until its end."""
    digest = hashlib.sha224(options.canonical() + b"\n")
    while chunk := song.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def song_name(given: object) -> str:
    """Return the file name that a caller gave, without folders and unprintable characters, at most 200 long."""
    last = re.split(r"[/\\]", given)[-1] if isinstance(given, str) else ""
    return "".join(c for c in last if c.isprintable())[:_NAME_LENGTH].strip()


@dataclass(frozen=True)
class Job:
    """One request to separate one song. `options` is None where a foreign message names no model.

    `name` is the song's file name. `song` is set only by messages of the first version, which contain the song;
    otherwise the song is in the store. `seconds` is the length in the song's container, None where it has none.
    `owner` is the name of the API key that sent the job. `request_id` appears in the logs of all services.
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
        """Return the job's message on the queue: a JSON object that begins with its hash."""
        content: dict[str, Any] = {"hash": self.songhash, "name": self.name}
        if self.options:
            content["options"] = json.loads(self.options.canonical())
        more = {n: getattr(self, n) for n in ("callback", "seconds", "owner", "request_id")}
        content |= {name: value for name, value in more.items() if value}
        return json.dumps(content, separators=(",", ":")).encode()

    @classmethod
    def from_message(cls, message: bytes) -> Job:
        """Read a message of ours, or of the first version: `{"hash": ..., "data": "<base64 MP3>"}`.

        Raises BrokenMessage for others.
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
            options=_read_options(content),
            name=song_name(content.get("name")),
            callback=callback if isinstance(callback, dict) else None,
            seconds=_typed(float, content.get("seconds")),
            owner=_typed(str, content.get("owner")) or "",
            request_id=_typed(str, content.get("request_id")) or "",
            song=_read_song(content),
        )


def _typed(kind: type[_T], given: object) -> _T | None:
    """Return the value where it has this type, else None."""
    return given if isinstance(given, kind) else None


def _read_options(content: Mapping[str, Any]) -> Options | None:
    """Read the message's options, or the `model` of a foreign message; None where it has neither."""
    options = content.get("options")
    given = options if isinstance(options, dict) and options.get("model") else {"model": content.get("model")}
    model = given["model"]
    if not model:
        return None
    if not (isinstance(model, str) and model.isprintable()):
        raise BrokenMessage("the message's 'model' is not a model's name")
    try:
        return Options.parse(given)
    except BadOption as problem:
        raise BrokenMessage(problem.detail) from None


def _read_song(content: Mapping[str, Any]) -> bytes | None:
    if "data" not in content:
        return None
    try:
        return base64.b64decode(content["data"], validate=True)
    except (ValueError, TypeError):
        raise BrokenMessage("the message's 'data' is not base64") from None
