"""What the process that mixes needs to know: which bytes of which stems, their gains, the region, the format."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from msas.options import Options


@dataclass(frozen=True)
class Source:
    """A stem of the mix. Decoding begins at byte `start` of its file and drops `skip` samples.

    `header` is the length in bytes of the file's header that its decoder needs first. `gain` is a factor.
    """

    name: str
    gain: float
    start: int
    skip: int
    header: int = 0


@dataclass(frozen=True)
class MixPlan:
    """A mix of `samples` samples at `rate` Hz (those of the stems), of the stems of a separation.

    It is played at `tempo` times the song's tempo, and all but the drums `semitones` higher.
    `extension` and `bits` (of a sample; WAV alone) are those of the stems' files, `tag` is that of their names in the
    store. `format`, `mp3_bitrate` (kbit/s) and `bit_depth` are those of the mix. `settings` holds the variables from
    which the store's address and keys are read.
    """

    songhash: str
    tag: str
    title: str
    extension: str
    bits: int
    rate: int
    samples: int
    sources: tuple[Source, ...]
    format: str
    mp3_bitrate: int
    bit_depth: int
    settings: dict[str, str] = field(repr=False)
    tempo: float = 1.0
    semitones: int = 0

    @property
    def stretched_samples(self) -> int:
        """The mix's length at its tempo, in samples at `rate`."""
        return round(self.samples / self.tempo)

    @property
    def options(self) -> Options:
        """The options that an encoder of the mix is opened with."""
        return Options("", format=self.format, mp3_bitrate=self.mp3_bitrate, bit_depth=self.bit_depth)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> MixPlan:
        given: dict[str, Any] = json.loads(text)
        return cls(**{**given, "sources": tuple(Source(**source) for source in given["sources"])})
