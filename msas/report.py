"""The report on a separation: which stems exist, and how they were made. A worker writes it; all others read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from msas.models import stem_order
from msas.options import Options

MIXTURE = "mixture"  # the song itself, which lies beside its stems and is encoded as they are


@dataclass(frozen=True, kw_only=True)
class Stem:
    """A stem as it lies in the store: its size in bytes, its length in seconds, its highest sample (full scale: 1).

    Reports of version 0.1.0 lack `crc32`, which is in hexadecimal.
    """

    name: str
    extension: str
    bytes: int
    sha256: str = ""
    crc32: str | None = None
    seconds: float
    peak: float | None = None
    clipped_samples: int | None = None

    @property
    def file_name(self) -> str:
        return f"{self.name}.{self.extension}"

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in _to_json(self).items() if name not in ("name", "extension")}


@dataclass(frozen=True)
class SongFacts:
    """The song as it was decoded: its length in seconds and in samples, its rate in Hz."""

    seconds: float
    samples: int | None = None
    rate: int | None = None


@dataclass(frozen=True, kw_only=True)
class Report:
    """One separation. `stage_seconds` holds the seconds of each stage; `sum_db` says in dB how far the mixture stands
    above its difference from the sum of all stems. `tempo_bpm` (beats a minute) and `key` (as "F# minor") are None
    where the song has none that is sure enough; the confidences are from 0 to 1.

    `removed` names the stems that callers removed since. `tag` is part of the names of the separation's objects in the
    store; it is empty where they have plain names. Fields that a report of an earlier version lacks are None.
    """

    songhash: str
    name: str
    options: Options
    model: str
    weights: str | None = None
    device: str | None = None
    precision: str | None = None
    song: SongFacts | None = None
    stage_seconds: dict[str, float] | None = None
    encoding_cpu_seconds: float | None = None
    real_time_factor: float | None = None
    peak_rss_mb: float | None = None
    sum_db: float | None = None
    tempo_bpm: float | None = None
    tempo_confidence: float | None = None
    key: str | None = None
    key_confidence: float | None = None
    stems: tuple[Stem, ...]
    mixture: Stem | None = None
    tag: str = ""
    removed: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the report as it is written in the store and in the API."""
        content = {
            "hash": self.songhash,
            **vars(self),
            "options": self.options.to_json(),
            "song": self.song and _to_json(self.song),
            "seconds": self.stage_seconds,
            "stems": {stem.name: stem.to_json() for stem in self.stems},
            "mixture": self.mixture and self.mixture.to_json(),
            "tag": self.tag or None,
            "removed": list(self.removed) or None,
        }
        del content["songhash"], content["stage_seconds"]
        return {name: value for name, value in content.items() if value is not None or name == "sum_db"}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Report:
        """Read what `to_json` of this version or of an earlier one returned. Raises LookupError where it is neither."""
        options = Options.from_json({"model": content["model"], **content["options"]})

        def stem(name: str, about: Mapping[str, Any]) -> Stem:
            return Stem(name=name, extension=options.format, **_known_fields(Stem, about))

        return cls(
            **{
                **_known_fields(cls, content),
                "songhash": content["hash"],
                "options": options,
                "song": SongFacts(**_known_fields(SongFacts, content["song"])) if "song" in content else None,
                "stage_seconds": content.get("seconds"),
                "stems": tuple(stem(name, about) for name, about in content["stems"].items()),
                "mixture": stem(MIXTURE, content[MIXTURE]) if MIXTURE in content else None,
                "removed": tuple(content.get("removed", ())),
            }
        )

    @property
    def tracks(self) -> tuple[Stem, ...]:
        """The stems in the order in which the API lists them."""
        by_name = {stem.name: stem for stem in self.stems}
        return tuple(by_name[name] for name in stem_order(tuple(by_name)))

    def without(self, stem: str) -> Report:
        """Return the report after the stem of this name was removed."""
        return replace(
            self,
            stems=tuple(each for each in self.stems if each.name != stem),
            removed=tuple(sorted({*self.removed, stem})),
        )

    def is_of_same_separation(self, other: Report) -> bool:
        """Say whether both differ in nothing but removed stems; the times tell separations of a song apart."""
        return replace(self, stems=(), removed=()) == replace(other, stems=(), removed=())


def _to_json(facts: object) -> dict[str, Any]:
    return {name: value for name, value in vars(facts).items() if value is not None}


def _known_fields(kind: type[Any], content: Mapping[str, Any]) -> dict[str, Any]:
    return {each.name: content[each.name] for each in fields(kind) if each.name in content}
