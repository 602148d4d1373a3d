"""Computes the waveforms that the page draws, and the byte at which each slice of a stem's file begins.

`<songhash>-peaks.json`, a few kB a minute:

    hash, rate (Hz), samples (of each stem)
    per_peak      samples that a peak stands for; the last one may stand for fewer
    slice         samples of a slice, about five seconds: a whole number of the format's frames
    tracks        {stem or "mixture": {peaks, starts}}
        peaks     lowest and highest value of each stretch in turn, of both channels; signed bytes (full scale: 127)
                  in base64
        starts    the byte of the file at which each slice begins
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np

from worker.engines import Samples

_MOST, _FINEST_SECONDS = 1_200, 0.02
_FULL_SCALE = 127
SLICE_SECONDS = 5.0


def samples_per_peak(length: int, rate: int) -> int:
    """Return how many of `length` samples at `rate` Hz one peak stands for: there are at most 1,200 of them."""
    return max(-(-length // _MOST), round(rate * _FINEST_SECONDS), 1)


def samples_per_slice(frame: int, rate: int) -> int:
    """Return the length of a slice, in samples, where the format has frames of `frame` samples."""
    return max(1, round(SLICE_SECONDS * rate / frame)) * frame


class Peaks:
    """Lowest and highest value of each stretch of `per_peak` samples, for `length` samples that come in blocks."""

    def __init__(self, length: int, per_peak: int) -> None:
        count = -(-length // per_peak)
        self._per_peak, self._position = per_peak, 0
        self._low, self._high = np.zeros(count, np.float32), np.zeros(count, np.float32)

    def add(self, block: Samples) -> None:
        """Add the next samples, shape (2, n), full scale at 1."""
        size = block.shape[1]
        if size == 0:
            return
        first = self._position // self._per_peak
        # Where in the block each stretch begins; the first may have begun before it.
        begins = np.arange(first * self._per_peak, self._position + size, self._per_peak) - self._position
        begins[0] = 0
        here = slice(first, first + len(begins))
        np.minimum(self._low[here], np.minimum.reduceat(block.min(axis=0), begins), out=self._low[here])
        np.maximum(self._high[here], np.maximum.reduceat(block.max(axis=0), begins), out=self._high[here])
        self._position += size

    def encoded(self) -> str:
        """Return the peaks as signed bytes in base64. The lowest value is at most 0, the highest at least 0."""
        pairs = np.stack([self._low, self._high], axis=1) * _FULL_SCALE
        return base64.b64encode(np.rint(pairs.clip(-_FULL_SCALE, _FULL_SCALE)).astype(np.int8).tobytes()).decode()


def build_peaks(songhash: str, rate: int, length: int, frame: int, tracks: Mapping[str, Any]) -> dict[str, Any]:
    """Return the file's content; `tracks` are the encoded stems and the mixture."""
    return {
        "hash": songhash,
        "rate": rate,
        "samples": length,
        "per_peak": samples_per_peak(length, rate),
        "slice": samples_per_slice(frame, rate),
        "tracks": {name: {"peaks": file.peaks.encoded(), "starts": file.starts} for name, file in tracks.items()},
    }
