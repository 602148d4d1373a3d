"""Reads a mix's gains, region, tempo and transposition from a request's query."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from msas.errors import BadOption, UnknownStem

MAX_GAIN = 10 ** (24 / 20)  # 24 dB
TEMPO_RANGE = (0.5, 1.5)
MOST_SEMITONES = 6
_DECIMAL = re.compile(r"\d{1,9}(\.\d{0,9})?|\.\d{1,9}")
_END_TOLERANCE_SECONDS = 0.01  # beyond the song's end, for callers that round its length


def parse_gains(text: str, stems: Iterable[str]) -> dict[str, float]:
    """Return each stem's gain, a factor; 1 for stems that `text` does not name, as in `vocals:0,drums:0.8`.

    Raises BadOption, UnknownStem.
    """
    gains = dict.fromkeys(stems, 1.0)
    named = set[str]()
    for part in filter(None, text.split(",")):
        name, _, value = (each.strip() for each in part.partition(":"))
        if name not in gains:
            raise UnknownStem(f"The song has no stem {name[:80]!r}; it has: {', '.join(gains)}.")
        gain = _decimal(value)
        if name in named or not gain <= MAX_GAIN:
            raise BadOption(
                f"The gain of {name!r} must be one number from 0 to {MAX_GAIN:.2f} (24 dB), but is {value[:80]!r}; "
                "send for example gains=vocals:0,drums:0.8."
            )
        gains[name] = gain
        named.add(name)
    return gains


def parse_region(start: str, end: str, samples: int, rate: int) -> tuple[int, int]:
    """Return the first sample of the region and the one after its last. `start` and `end` are in seconds, or empty.

    Raises BadOption where they are no numbers, the region is empty, or not inside the song.
    """
    first = _to_sample("start", start, rate) if start else 0
    last = _to_sample("end", end, rate) if end else samples
    if last > samples + _END_TOLERANCE_SECONDS * rate:
        raise BadOption(f"The song ends at {samples / rate:.3f} s; 'end' must not be later.")
    last = min(last, samples)
    if first >= last:
        raise BadOption(f"'start' must be before 'end', and before the song's end at {samples / rate:.3f} s.")
    return first, last


def parse_tempo(text: str) -> float:
    """Return the tempo as a factor of the song's; 1 where `text` is empty. Raises BadOption."""
    tempo = _decimal(text) if text else 1.0
    slowest, fastest = TEMPO_RANGE
    if not slowest <= tempo <= fastest:
        raise BadOption(f"The option 'tempo' must be a number from {slowest} to {fastest}, but is {text[:80]!r}.")
    return tempo


def parse_semitones(text: str) -> int:
    """Return by how many semitones to transpose; 0 where `text` is empty. Raises BadOption."""
    if text and not (re.fullmatch(r"[+-]?\d", text.strip()) and abs(int(text)) <= MOST_SEMITONES):
        raise BadOption(
            f"The option 'transpose' must be a whole number of semitones from -{MOST_SEMITONES} to {MOST_SEMITONES}, "
            f"but is {text[:80]!r}."
        )
    return int(text or 0)


def _to_sample(name: str, text: str, rate: int) -> int:
    seconds = _decimal(text)
    if math.isnan(seconds):
        raise BadOption(f"The option {name!r} must be a time in seconds, such as 30 or 12.5, but is {text[:80]!r}.")
    return round(seconds * rate)


def _decimal(text: str) -> float:
    """Return the number that `text` is, a plain decimal of no sign; NaN where it is none."""
    return float(text) if _DECIMAL.fullmatch(text) else math.nan
