"""Estimates a song's key from its pitched stems, which come in blocks.

The peaks of spectra of a third of a second are added up by pitch class, in steps of ten cents, so that a song that is
not tuned to 440 Hz can be shifted. The twelve sums are correlated with the key profiles of J. Albrecht and D. Shanahan,
"The use of large corpora to train a new type of key-finding algorithm" (Music Perception 31, 2013), in all 24 keys, as
C. Krumhansl and M. Schmuckler proposed. Memory does not depend on the song's length.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from worker.engines import Samples

LEAST_CONFIDENCE = 0.4
# How often each degree of the scale occurs, from the tonic up, in semitones.
_MAJOR = (0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081)
_MINOR = (0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052)
_MAJOR_NAMES = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_MINOR_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B")
_WINDOW_SECONDS = 0.37
_LOWEST_HZ, _HIGHEST_HZ = 55.0, 1760.0
_STEPS = 10  # of a semitone
_AROUND = 12  # bins on either side of a peak, over whose mean it must stand
_PROMINENCE = 2.0  # times this mean; noise hardly reaches it
# What leaves no doubt: the peaks' share in the spectrum, the deviation of the pitch classes over their mean, and the
# correlation of the best key less that of the second. Music has about that much, noise and random tones have less.
_CLEAR_SHARE, _CLEAR_DEVIATION, _CLEAR_LEAD = 0.15, 0.6, 0.1


class KeyEstimator:
    """Takes in the sum of the pitched stems, block after block; `estimate` then returns the key."""

    def __init__(self, rate: int) -> None:
        """`rate` in Hz is that of the samples."""
        self._size = 1 << round(math.log2(rate * _WINDOW_SECONDS))
        self._bin_hz = rate / self._size
        self._window = np.hanning(self._size).astype(np.float32)
        self._bins = slice(int(_LOWEST_HZ / self._bin_hz), int(_HIGHEST_HZ / self._bin_hz) + 1)
        self._waiting: NDArray[np.float32] = np.zeros(0, np.float32)
        self._pitches = np.zeros(12 * _STEPS)
        self._total = 0.0

    def add(self, block: Samples) -> None:
        """Take in the next samples, shape (2, n)."""
        mono = np.concatenate([self._waiting, block.mean(axis=0)])
        count = len(mono) // self._size
        frames, self._waiting = mono[: count * self._size].reshape(count, self._size), mono[count * self._size :]
        for frame in frames:
            self._add_spectrum(np.abs(np.fft.rfft(frame * self._window))[self._bins].astype(np.float64))

    def estimate(self) -> tuple[str, float] | None:
        """Return the key, as "F# minor", and the confidence, LEAST_CONFIDENCE to 1; None below that.

        To be called after the last block.
        """
        classes = _in_tune(self._pitches)
        if classes.std() == 0:
            return None
        names = [f"{name} major" for name in _MAJOR_NAMES] + [f"{name} minor" for name in _MINOR_NAMES]
        profiles = [np.roll(profile, tonic) for profile in (_MAJOR, _MINOR) for tonic in range(12)]
        likeness = np.array([np.corrcoef(classes, profile)[0, 1] for profile in profiles])
        second, best = np.argsort(likeness)[-2:]
        doubts = [
            self._pitches.sum() / self._total / _CLEAR_SHARE,
            classes.std() / classes.mean() / _CLEAR_DEVIATION,
            (likeness[best] - likeness[second]) / _CLEAR_LEAD,
        ]
        confidence = float(likeness[best] * np.minimum(doubts, 1).prod())
        return (names[best], confidence) if confidence >= LEAST_CONFIDENCE else None

    def _add_spectrum(self, magnitudes: NDArray[np.float64]) -> None:
        strengths = np.sqrt(magnitudes / np.arange(self._bins.start, self._bins.stop))
        self._total += float(strengths.sum())
        sums = np.cumsum(np.pad(magnitudes, (_AROUND + 1, _AROUND)))
        means = (sums[2 * _AROUND + 1 :] - sums[: -2 * _AROUND - 1]) / (2 * _AROUND + 1)
        middle = magnitudes[1:-1]
        is_peak = (middle > magnitudes[:-2]) & (middle >= magnitudes[2:]) & (middle > _PROMINENCE * means[1:-1])
        peaks = np.flatnonzero(is_peak) + 1
        before, at, after = (np.log(magnitudes[peaks + offset] + 1e-30) for offset in (-1, 0, 1))
        exact = self._bins.start + peaks + (before - after) / (2 * (before - 2 * at + after))
        # In steps above a C; 440 Hz is 69 semitones above the lowest C that MIDI knows.
        steps = np.rint((69 + 12 * np.log2(exact * self._bin_hz / 440)) * _STEPS).astype(np.int64)
        np.add.at(self._pitches, steps % len(self._pitches), strengths[peaks])


def _in_tune(pitches: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum up by pitch classes, 12 from C on, after shifting all by the mean distance from the nearest semitone."""
    steps = np.arange(len(pitches))
    mean = (pitches * np.exp(2j * np.pi * steps / _STEPS)).sum()
    off = float(np.angle(mean)) / (2 * np.pi) * _STEPS
    nearest = np.rint((steps - off) / _STEPS).astype(np.int64) % 12
    return np.bincount(nearest, pitches, minlength=12).astype(np.float64)
