"""What a job is: one song, one set of options, one songhash."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from msas.problem import BadOption

SONGHASH = re.compile(r"[0-9a-f]{56}")
_NAME_LENGTH = 200


class State(StrEnum):
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


# Options of the contract whose only value, for now, is their default.
_FIXED_OPTIONS: dict[str, Any] = {
    "format": "mp3",
    "mp3_bitrate": 320,
    "shifts": 0,
    "overlap": 0.25,
    "residual": False,
}
_OPTIONS_TO_COME = ("stems", "two_stems", "bit_depth")


@dataclass(frozen=True)
class Options:
    """Everything a caller can choose that changes the result."""

    model: str

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any], offered: Iterable[str], default_model: str) -> Options:
        """Choose the options out of a request's `fields`; what is absent or null takes its default.

        Raises BadOption, naming the allowed values, for anything that this deployment can not honour.
        Fields that are no options of ours are left alone.
        """
        names = list(offered)
        model = fields.get("model") or default_model
        if model not in names:
            allowed = ", ".join(names)
            raise BadOption(f"The model {str(model)[:80]!r} is not offered here; choose one of: {allowed}.")
        for name, only in _FIXED_OPTIONS.items():
            if (value := fields.get(name)) is not None and value != only:
                raise BadOption(f"The option {name!r} can only be {json.dumps(only)} in this version.")
        for name in _OPTIONS_TO_COME:
            if fields.get(name) is not None:
                raise BadOption(f"The option {name!r} is not offered in this version; leave it out.")
        return cls(model=model)

    def canonical(self) -> bytes:
        """Return the options as canonical JSON: sorted, compact, ASCII.

        Options at their default are left out, so that one added in a later version changes no songhash.
        """
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode()


def songhash(song: bytes, options: Options) -> str:
    """Return the identity of this song with these options: SHA-224 as 56 hex characters."""
    digest = hashlib.sha224(options.canonical() + b"\n")
    digest.update(song)
    return digest.hexdigest()


def song_name(given: object) -> str:
    """Return a song's file name, for people, out of what a stranger gave: no folders, nothing unprintable."""
    last = re.split(r"[/\\]", given)[-1] if isinstance(given, str) else ""
    return "".join(c for c in last if c.isprintable())[:_NAME_LENGTH].strip()


@dataclass(frozen=True)
class Job:
    """One request to separate one song. `options` is None where a foreign producer left the choice to us.

    `name` is the song's file name, for people. `song` is set only by messages of the first version's
    shape, which carry the song itself; otherwise it lies in the store under the songhash.
    """

    songhash: str
    options: Options | None = None
    name: str = ""
    callback: dict[str, Any] | None = None
    song: bytes | None = field(default=None, repr=False)

    def message(self) -> bytes:
        """Return the job as it waits on the queue: one JSON object, its hash first."""
        content: dict[str, Any] = {"hash": self.songhash, "name": self.name}
        if self.options:
            content["options"] = asdict(self.options)
        if self.callback:
            content["callback"] = self.callback
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
        options, callback = content.get("options"), content.get("callback")
        model = options.get("model") if isinstance(options, dict) else content.get("model")
        if model and not (isinstance(model, str) and model.isprintable()):
            raise BrokenMessage("the message's 'model' is not a model's name")
        return cls(
            songhash=identity,
            options=Options(model=model) if model else None,
            name=song_name(content.get("name")),
            callback=callback if isinstance(callback, dict) else None,
            song=_song_inside(content),
        )


def _song_inside(content: Mapping[str, Any]) -> bytes | None:
    if "data" not in content:
        return None
    try:
        return base64.b64decode(content["data"], validate=True)
    except (ValueError, TypeError):
        raise BrokenMessage("the message's 'data' is not base64") from None
