"""The cost of a separation in minutes of network time, the size of its stems, and the limits of both."""

from __future__ import annotations

from dataclasses import dataclass

from msas.errors import TooCostly, TooLargeOutput
from msas.models import NETWORKS
from msas.options import Options
from msas.settings import Settings

# The length assumed for songs whose length is unknown before they are decoded.
USUAL_SECONDS = 240.0
_FLAC_SHARE = 0.7  # of the same samples in a WAV
_CHANNELS = 2


def cost_minutes(options: Options | None, seconds: float | None) -> float:
    """Return the minutes of song that networks process for a job: minutes x networks x shifts / (1 - overlap)."""
    options = options or Options("")
    networks = NETWORKS.get(options.model, 1)
    if options.model == "htdemucs_ft" and options.sources:  # one network for each stem
        networks = len(options.sources)
    minutes = (USUAL_SECONDS if seconds is None else seconds) / 60
    return round(minutes * networks * max(1, options.shifts) / (1 - options.overlap), 3)


def output_mb(options: Options, stems: int, seconds: float, rate: int) -> float:
    """Return the estimated size of the stems and the mixture in MB; `rate` is the song's in Hz."""
    tracks = (len(options.sources) or stems) + bool(options.remainder) + 1
    if options.format == "mp3":
        bytes_per_second = options.mp3_bitrate * 1000 / 8
    else:
        share = _FLAC_SHARE if options.format == "flac" else 1.0
        bytes_per_second = rate * _CHANNELS * options.bit_depth / 8 * share
    return tracks * seconds * bytes_per_second / 1e6


@dataclass(frozen=True)
class SongLimits:
    """The limits of one song: its length, the minutes that networks process for it, and the size of its stems."""

    minutes: float
    cost_minutes: float
    output_mb: float

    @classmethod
    def from_settings(cls, settings: Settings) -> SongLimits:
        return cls(settings.max_duration_minutes, settings.max_cost_minutes, settings.max_output_mb)

    def check(self, options: Options, stems: int, seconds: float | None, rate: int) -> None:
        """Raise TooCostly or TooLargeOutput where the separation of a song exceeds a limit.

        `stems` is the model's number of stems, `rate` the song's in Hz. The worker checks songs of unknown length again
        after it has decoded them.
        """
        cost = cost_minutes(options, seconds)
        if cost > self.cost_minutes:
            raise TooCostly(
                f"The separation would cost {cost:,.0f} minutes of work (length x networks x shifts / (1 - overlap)); "
                f"the limit is {self.cost_minutes:,.0f}; lower 'shifts' or 'overlap', choose a smaller model, "
                "or send a shorter song."
            )
        size = output_mb(options, stems, seconds or 0.0, rate)
        if size > self.output_mb:
            raise TooLargeOutput(
                f"The stems would have about {size:,.0f} MB; the limit is {self.output_mb:,.0f} MB; choose a "
                "smaller 'format' or 'bit_depth', fewer stems, or send a shorter song."
            )
