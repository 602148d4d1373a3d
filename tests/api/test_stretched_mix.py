"""Mixes at another tempo and in another key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
from numpy.typing import NDArray

from local import Service
from msas_client import Client
from tests.support.audio import RATE, Wave, decode, write
from tests.support.requests import problem

TONE_HZ, SECONDS = 440.0, 12
SEMITONE = 2 ** (1 / 12)


def tone() -> Wave:
    """Return a steady tone, shape (2, samples)."""
    wave = 0.3 * np.sin(2 * np.pi * TONE_HZ * np.arange(SECONDS * RATE) / RATE)
    return np.stack([wave, wave]).astype(np.float32)


@pytest.fixture(scope="module")
def songhash(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    job = client.separate(write(tmp_path_factory.mktemp("tone") / "tone.wav", tone()), wait=True, format="wav")
    yield job.songhash
    client.remove(job)


def loudest_hz(wave: NDArray[np.float32]) -> float:
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    return float(np.argmax(spectrum) * RATE / len(wave))


@pytest.mark.parametrize(("tempo", "semitones"), [(0.5, 0), (1.5, 0), (1, 6), (1, -5), (0.5, 6), (1.5, -6)])
def test_a_mix_has_its_tempo_and_its_key(
    client: Client, songhash: str, tmp_path: Path, tempo: float, semitones: int
) -> None:
    path = client.mix(songhash, tmp_path / "mix.wav", {"drums": 0}, 1, 11, tempo=tempo, transpose=semitones)

    mix = decode(path)

    assert mix.shape == (2, round(10 * RATE / tempo))
    assert loudest_hz(mix[0][RATE : 5 * RATE]) == pytest.approx(TONE_HZ * SEMITONE**semitones, rel=0.003)
    level = np.sqrt(np.mean(mix[:, RATE:-RATE] ** 2))
    assert level == pytest.approx(0.3 / np.sqrt(2), rel=0.15)


def test_drums_keep_their_pitch(client: Client, songhash: str, tmp_path: Path) -> None:
    drums_alone = {"vocals": 0.0, "bass": 0.0, "other": 0.0}

    as_it_is = decode(client.mix(songhash, tmp_path / "one.wav", drums_alone, tempo=0.8))
    transposed = decode(client.mix(songhash, tmp_path / "two.wav", drums_alone, tempo=0.8, transpose=4))

    assert np.array_equal(as_it_is, transposed)


def test_the_song_s_own_tempo_and_key_change_no_sample(service: Service, songhash: str) -> None:
    address = f"{service.url}/apiv1/mix/{songhash}.wav"

    plain, stated = (requests.get(address + query, timeout=60).content for query in ("", "?tempo=1&transpose=0"))

    assert plain == stated


@pytest.mark.parametrize("query", ["tempo=0.4", "tempo=2", "tempo=slow", "transpose=7", "transpose=1.5", "transpose=x"])
def test_another_tempo_or_transposition_is_refused(service: Service, songhash: str, query: str) -> None:
    answer = requests.get(f"{service.url}/apiv1/mix/{songhash}.mp3?{query}", timeout=20)

    assert problem(answer) == (422, "bad_option")
    assert query.partition("=")[0] in answer.json()["detail"]
