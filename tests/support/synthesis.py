"""Songs made from a tempo and a key: drums, bass and chords, each a stem of its own."""

from __future__ import annotations

from functools import cache

import numpy as np

from tests.support.audio import RATE, Wave

NOTES = {"C": 0, "Db": 1, "D": 2, "Eb": 3, "E": 4, "F": 5, "F#": 6, "G": 7, "Ab": 8, "A": 9, "Bb": 10, "B": 11}
_SHARPS = {"C#": "Db", "G#": "Ab"}
# Chords of four bars: semitones of the root above the tonic, and of the third above the root.
_CHORDS = {"major": [(0, 4), (9, 3), (5, 4), (7, 4)], "minor": [(0, 3), (8, 4), (5, 3), (7, 4)]}


def synthesize(bpm: float, key: str, seconds: float, tuning_hz: float = 440.0) -> dict[str, Wave]:
    """Return the stems drums, bass and other of a song in four-four time, each of shape (2, n) at 44.1 kHz."""
    name, mode = key.split()
    tonic = NOTES[_SHARPS.get(name, name)]
    length, beat = round(seconds * RATE), 60 / bpm
    waves = {stem: np.zeros(length, np.float32) for stem in ("drums", "bass", "other")}
    for number in range(round(seconds / beat) + 1):
        start = number * beat
        _mix(waves["drums"], start, _snare() if number % 2 else _kick())
        for half in (0, 0.5):
            _mix(waves["drums"], start + half * beat, _hat())
        root, third = _CHORDS[mode][number // 4 % 4]
        _mix(waves["bass"], start, _tone(36 + (tonic + root) % 12, beat, tuning_hz))
        if number % 4 == 0:
            for step in (0, third, 7):
                _mix(waves["other"], start, 0.5 * _tone(60 + (tonic + root + step) % 12, 4 * beat, tuning_hz))
    return {stem: np.stack([wave, wave]).astype(np.float32) * np.float32(0.3) for stem, wave in waves.items()}


def noise(seconds: float, seed: int = 0) -> Wave:
    """Return white noise, shape (2, n), at 44.1 kHz."""
    random = np.random.default_rng(seed)
    return (0.1 * random.standard_normal((2, round(seconds * RATE)))).astype(np.float32)


def _mix(wave: Wave, seconds: float, sound: Wave) -> None:
    begin = round(seconds * RATE)
    room = max(0, min(len(sound), len(wave) - begin))
    wave[begin : begin + room] += sound[:room]


def _times(seconds: float) -> Wave:
    return np.arange(round(seconds * RATE), dtype=np.float32) / np.float32(RATE)


@cache
def _tone(midi: int, seconds: float, tuning_hz: float) -> Wave:
    """Return a plucked tone with six harmonics."""
    times, hertz = _times(seconds), tuning_hz * 2 ** ((midi - 69) / 12)
    waves = [np.sin(2 * np.pi * hertz * harmonic * times) / harmonic for harmonic in range(1, 7)]
    tone: Wave = np.sum(waves, axis=0) * np.exp(-times) * np.minimum(1, (seconds - times) / 0.02)
    return tone


@cache
def _kick() -> Wave:
    times = _times(0.2)
    kick: Wave = np.sin(2 * np.pi * (50 * times + 3 * np.exp(-30 * times))) * np.exp(-15 * times)
    return kick


@cache
def _snare() -> Wave:
    times = _times(0.15)
    snare: Wave = noise(0.15, seed=1)[0] * 5 * np.exp(-25 * times)
    return snare


@cache
def _hat() -> Wave:
    times = _times(0.05)
    hat: Wave = np.diff(noise(0.05, seed=2)[0], prepend=np.float32(0)) * 2 * np.exp(-80 * times)
    return hat
