"""Tempo and key, as the worker estimates them from the stems of songs whose tempo and key are known."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest

from tests.support.audio import RATE, Wave, true_waves
from tests.support.synthesis import noise, synthesize
from worker.pipeline.tempo_and_key import analysing

BLOCK = 100_003  # samples, no multiple of any window


def analyse(stems: Mapping[str, Wave]) -> dict[str, Any]:
    """Return what the report on a song with these stems says of it."""
    waves = np.stack(list(stems.values()))
    with analysing(tuple(stems), RATE) as analysis:
        for begin in range(0, waves.shape[2], BLOCK):
            analysis.put(waves[:, :, begin : begin + BLOCK])
        return analysis.finish()


@cache
def song() -> dict[str, Wave]:
    return synthesize(110, "C major", 20)


@pytest.mark.parametrize("bpm", [84.0, 97.5, 110.0, 120.0, 128.0, 140.0, 150.0])
def test_the_tempo_is_that_of_the_song(bpm: float) -> None:
    found = analyse({"drums": synthesize(bpm, "C major", 25)["drums"]})

    assert found["tempo_bpm"] == pytest.approx(bpm, abs=0.2)
    assert found["tempo_confidence"] >= 0.5


@pytest.mark.parametrize(("bpm", "told"), [(66.0, 132.0), (170.0, 85.0)])
def test_the_tempo_of_a_very_slow_or_fast_song_is_its_double_or_half(bpm: float, told: float) -> None:
    found = analyse({"drums": synthesize(bpm, "C major", 25)["drums"]})

    assert found["tempo_bpm"] == pytest.approx(told, abs=0.2)


def test_drums_that_change_their_tempo_have_none() -> None:
    faster = [synthesize(bpm, "C major", 6)["drums"] for bpm in (90, 101, 113, 127, 143)]

    assert analyse({"drums": np.concatenate(faster, axis=1)}) == {}


def test_a_song_that_goes_through_all_keys_has_none() -> None:
    keys = [f"{tonic} {mode}" for tonic in ("C", "Db", "D", "Eb", "E", "F", "F#", "G") for mode in ("major", "minor")]
    stems = [synthesize(100, key.replace("Db minor", "C# minor"), 3)["other"] for key in keys]

    assert analyse({"other": np.concatenate(stems, axis=1)}) == {}


@pytest.mark.parametrize("bpm", [90.0, 120.0])
def test_the_tempo_of_a_short_song_is_that_of_the_song(bpm: float) -> None:
    found = analyse({"drums": synthesize(bpm, "C major", 11)["drums"]})

    assert found["tempo_bpm"] == pytest.approx(bpm, abs=0.5)


@pytest.mark.parametrize(
    "key",
    [f"{tonic} major" for tonic in ("C", "Db", "E", "F#", "A", "Bb")]
    + [f"{tonic} minor" for tonic in ("A", "C", "C#", "E", "F#", "G#")],
)
def test_the_key_is_that_of_the_song(key: str) -> None:
    stems = synthesize(100, key, 20)

    found = analyse({"bass": stems["bass"], "other": stems["other"]})

    assert found["key"] == key
    assert found["key_confidence"] >= 0.5


def test_a_real_song_has_the_tempo_and_the_key_that_its_true_stems_tell() -> None:
    stems = {name: np.tile(true_waves()[name], (1, 3)) for name in ("drums", "bass", "other")}

    found = analyse(stems)

    assert found["tempo_bpm"] == pytest.approx(118, abs=1)
    assert found["key"] == "B major"


@pytest.mark.parametrize("tuning_hz", [430.0, 450.0])
def test_the_key_of_a_song_that_is_out_of_tune_is_the_nearest_one(tuning_hz: float) -> None:
    stems = synthesize(100, "D major", 20, tuning_hz)

    assert analyse({"bass": stems["bass"], "other": stems["other"]})["key"] == "D major"


def test_tempo_and_key_do_not_depend_on_loudness() -> None:
    quiet = {stem: wave * np.float32(0.001) for stem, wave in song().items()}

    assert analyse(quiet) == analyse(song())


def test_silence_has_neither_tempo_nor_key() -> None:
    silence = np.zeros((2, 20 * RATE), np.float32)

    assert analyse({"drums": silence, "bass": silence, "other": silence}) == {}


@pytest.mark.parametrize("seconds", [11, 60])
def test_noise_has_neither_tempo_nor_key(seconds: int) -> None:
    waves = [noise(seconds, seed) for seed in range(3)]

    assert analyse(dict(zip(("drums", "bass", "other"), waves, strict=True))) == {}


def test_two_seconds_of_song_have_neither_tempo_nor_key() -> None:
    assert analyse({stem: wave[:, : 2 * RATE] for stem, wave in song().items()}) == {}


def test_stems_without_drums_have_a_key_and_no_tempo() -> None:
    found = analyse({"bass": song()["bass"], "other": song()["other"]})

    assert set(found) == {"key", "key_confidence"}


def test_drums_alone_have_a_tempo_and_no_key() -> None:
    assert set(analyse({"drums": song()["drums"]})) == {"tempo_bpm", "tempo_confidence"}


def test_vocals_alone_have_neither_tempo_nor_key() -> None:
    assert analyse({"vocals": song()["other"]}) == {}


def test_blocks_of_any_size_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = analyse(song())

    monkeypatch.setattr("tests.worker.test_analysis.BLOCK", 7_919)

    assert analyse(song()) == expected
