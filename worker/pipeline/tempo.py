"""Estimates a song's tempo from its drums, which come in blocks.

A hundred times a second the strength of onsets is taken: by how much the level of each of three bands rises. Its
autocorrelation has peaks at the beat's period and at multiples of that. A bell around 120 beats a minute, on a
logarithmic scale, decides between these, as in D. Ellis, "Beat tracking by dynamic programming" (Journal of New Music
Research 36, 2007). Memory does not depend on the song's length: the power spectra of windows are added up, and the
autocorrelation is computed from their sum.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from worker.engines import Samples

LEAST_CONFIDENCE = 0.2
_FRAMES_PER_SECOND = 100
_LOW_HZ = 1_400  # above twice the highest frequency of the low band
_WINDOW = 4096  # frames: 41 s
_BLUR_FRAMES = 2.0  # by which onsets are blurred, since no drummer hits the same hundredth of a second
_SLOWEST_BPM, _FASTEST_BPM, _USUAL_BPM, _SPREAD_OCTAVES = 55.0, 210.0, 120.0, 0.8
_STEP = 1.002  # from one tempo that is tried to the next
_BEATS = 4  # at whose distances onsets must repeat
_MORE_BEATS = (8, 16, 32)  # whose distances tell the tempo more exactly
_REACH = 4  # frames around such a distance, in which its peak is looked for


class TempoEstimator:
    """Takes in the drums, block after block; `estimate` then returns the tempo."""

    def __init__(self, rate: int) -> None:
        """`rate` in Hz is that of the samples."""
        self._hop = max(1, rate // _FRAMES_PER_SECOND)
        self._low = max(1, min(rate // _LOW_HZ, self._hop))  # samples of which the low band takes the mean
        self._frames_per_second = rate / self._hop
        self._waiting: NDArray[np.float32] = np.zeros(0, np.float32)
        self._level = np.zeros((3, 1))  # of the last frame
        self._onsets = np.zeros((3, 0))
        self._power = np.zeros((3, _WINDOW + 1))
        self._pairs = np.zeros(_WINDOW)  # how many pairs of frames so far apart were compared

    def add(self, block: Samples) -> None:
        """Take in the next samples, shape (2, n)."""
        mono = np.concatenate([self._waiting, block.mean(axis=0)])
        count = len(mono) // self._hop
        frames, self._waiting = mono[: count * self._hop].reshape(count, self._hop), mono[count * self._hop :]
        if count == 0:
            return
        levels = np.concatenate([self._level, _levels(frames, self._low)], axis=1)
        self._level = levels[:, -1:]
        self._onsets = np.concatenate([self._onsets, np.maximum(np.diff(levels), 0)], axis=1)
        while self._onsets.shape[1] >= _WINDOW:
            self._add_window(self._onsets[:, :_WINDOW])
            self._onsets = self._onsets[:, _WINDOW:]

    def estimate(self) -> tuple[float, float] | None:
        """Return the tempo in beats a minute and the confidence, LEAST_CONFIDENCE to 1; None below that.

        To be called once, after the last block. A tempo below 80 is mostly taken for its
        double, one above 155 for its half.
        """
        if self._onsets.shape[1]:
            self._add_window(self._onsets)
        likeness = self._likeness()
        if len(likeness) <= self._period(_SLOWEST_BPM) * _BEATS:
            return None
        steps = int(math.log(_FASTEST_BPM / _SLOWEST_BPM, _STEP))
        tempi: NDArray[np.float64] = np.geomspace(_SLOWEST_BPM, _FASTEST_BPM, steps)
        octaves = np.log2(tempi / _USUAL_BPM)
        scores = np.exp(-((octaves / _SPREAD_OCTAVES) ** 2) / 2) * self._repetition(likeness, tempi)
        bpm = self._refined(likeness, float(tempi[np.argmax(scores)]))
        confidence = float(self._repetition(likeness, np.array([bpm]))[0])
        return (bpm, min(confidence, 1.0)) if confidence >= LEAST_CONFIDENCE else None

    def _add_window(self, onsets: NDArray[np.float64]) -> None:
        count = onsets.shape[1]
        spectrum = np.fft.rfft(onsets - onsets.mean(axis=1, keepdims=True), 2 * _WINDOW)
        blur = np.exp(-2 * (np.pi * _BLUR_FRAMES * np.fft.rfftfreq(2 * _WINDOW)) ** 2)
        self._power += np.abs(spectrum * blur) ** 2
        self._pairs += np.maximum(0, count - np.arange(_WINDOW))

    def _likeness(self) -> NDArray[np.float64]:
        """Return how alike the onsets are to those so many frames later, -1 to 1, for as many frames as are sure."""
        sure = int(np.count_nonzero(self._pairs > self._pairs[0] / 2))
        likeness = np.fft.irfft(self._power)[:, :sure] / self._pairs[:sure]
        audible = likeness[:, :1].any(axis=1)
        if not audible.any():
            return np.zeros(0)
        mean: NDArray[np.float64] = (likeness[audible] / likeness[audible, :1]).mean(axis=0)
        return mean

    def _period(self, bpm: float) -> float:
        """Return how many frames a beat takes."""
        return 60 * self._frames_per_second / bpm

    def _repetition(self, likeness: NDArray[np.float64], tempi: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return, for each tempo, how alike the onsets are one to four beats later."""
        distances = np.arange(1, _BEATS + 1)[:, None] * (60 * self._frames_per_second / tempi)
        alike: NDArray[np.float64] = np.interp(distances, np.arange(len(likeness)), likeness).mean(axis=0)
        return alike

    def _refined(self, likeness: NDArray[np.float64], bpm: float) -> float:
        for beats in (_BEATS, *_MORE_BEATS):
            around = round(self._period(bpm) * beats)
            if around + _REACH + 1 >= len(likeness):
                break
            begin = around - _REACH
            peak = begin + int(np.argmax(likeness[begin : around + _REACH + 1]))
            before, at, after = likeness[peak - 1 : peak + 2]
            if not (before < at > after):
                break
            exact = peak + (before - after) / (2 * (before - 2 * at + after))
            bpm = 60 * self._frames_per_second * beats / exact
        return bpm


def _levels(frames: Samples, low: int) -> NDArray[np.float64]:
    """Return the levels of frames, shape (frames, samples), in three bands: all, high, low; shape (3, frames)."""
    count, size = frames.shape
    means = frames[:, : size // low * low].reshape(count, size // low, low).mean(axis=2)
    # The square root of an amplitude: weak onsets count too, without the noise of silence.
    powers = [np.einsum("fs,fs->f", band, band) for band in (frames, np.diff(frames), means)]
    levels: NDArray[np.float64] = np.array(powers, np.float64) ** 0.25
    return levels
