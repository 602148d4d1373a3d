"""The classes Status, Track and Model, read from the service's JSON. Unknown fields are ignored."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

_ANALYSIS = ("tempo_bpm", "tempo_confidence", "key", "key_confidence")


@dataclass(frozen=True)
class Track:
    """A finished stem: its name, its path on the service, its size in bytes, its length in seconds."""

    name: str
    url: str
    bytes: int
    seconds: float

    @property
    def extension(self) -> str:
        return self.url.rpartition(".")[2]


@dataclass(frozen=True)
class Status:
    """How a song is doing. `state` is queued, running, succeeded, failed or cancelled; `progress` 0 to 1.

    `error` (`code`, `message`) says why it failed, or why it is being tried again. `tempo_bpm` (beats a minute) and
    `key` (as "F# minor") are those of the song, with confidences from 0 to 1; None where they are not known.
    """

    songhash: str
    state: str
    stage: str | None
    progress: float
    queue_position: int | None
    eta_seconds: float | None
    attempt: int
    model: str | None
    name: str
    tracks: tuple[Track, ...]
    error: dict[str, str] | None
    tempo_bpm: float | None = None
    tempo_confidence: float | None = None
    key: str | None = None
    key_confidence: float | None = None

    @property
    def over(self) -> bool:
        return self.state not in ("queued", "running")

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Status:
        return cls(
            songhash=found["hash"],
            state=found["status"],
            stage=found["stage"],
            progress=found["progress"],
            queue_position=found["queue_position"],
            eta_seconds=found["eta_seconds"],
            attempt=found["attempt"],
            model=found["model"],
            name=found["name"],
            tracks=tuple(Track(t["name"], t["url"], t["bytes"], t["seconds"]) for t in found["tracks"]),
            error=found["error"],
            **{name: found.get(name) for name in _ANALYSIS},  # an older service does not have them
        )

    def as_json(self) -> dict[str, Any]:
        """Return it under the service's own names."""
        found = asdict(self)
        return {"hash": found.pop("songhash"), "status": found.pop("state"), **found}


@dataclass(frozen=True)
class Model:
    """A model on offer: the stems that it yields, a sentence about it, and facts about its weights.

    `licence` and `origin` are those of the weights, `size_mb` what is downloaded, `quality` what was published. Where
    `cached` is false, a worker downloads the weights when the model is first asked for. `seconds_per_minute` is the
    time in seconds that a minute of song takes there. Empty or None: not known.
    """

    name: str
    stems: tuple[str, ...]
    about: str
    default: bool
    licence: str = ""
    origin: str = ""
    size_mb: float | None = None
    quality: str = ""
    cached: bool = True
    seconds_per_minute: float | None = None

    @classmethod
    def all_from_json(cls, found: dict[str, Any]) -> list[Model]:
        """Return the models, the default one first."""
        known = {field.name for field in fields(cls)}
        models = [
            cls(
                **{name: value for name, value in model.items() if name in known}
                | {"stems": tuple(model["stems"]), "default": model["name"] == found["default"]}
            )
            for model in found["models"]
        ]
        return sorted(models, key=lambda model: not model.default)
