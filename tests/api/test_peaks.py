"""Waveforms and the mixture, which the page shows and plays beside the stems."""

from __future__ import annotations

import base64
import hashlib
import io
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import requests
from numpy.typing import NDArray

from msas_client import Client
from tests.support.audio import RATE, STEMS, decode, lag, snr_db, true_waves, write
from tests.support.requests import problem, separate

LENGTH = 60_007  # samples of the song, 1.4 s


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("song") / "song.wav", true_waves()["mixture"][:, -LENGTH:])


@pytest.fixture(scope="module")
def as_wav(client: Client, song: Path) -> str:
    """The songhash of the song, separated into WAVs."""
    return separate(client, song, format="wav")


def get_peaks(client: Client, songhash: str, **headers: str) -> requests.Response:
    return requests.get(f"{client.url}/apiv1/peaks/{songhash}", headers=headers, timeout=10)


def lows_and_highs(encoded: str) -> NDArray[np.int8]:
    """Return the peaks, shape (n, 2): lowest and highest."""
    return np.frombuffer(base64.b64decode(encoded), np.int8).reshape(-1, 2)


def test_peaks_of_the_stems_and_the_mixture_come_as_a_few_kilobytes_of_json(client: Client, song: Path) -> None:
    answer = get_peaks(client, separate(client, song))

    peaks = answer.json()
    assert set(peaks["tracks"]) == {*STEMS, "mixture"}
    assert peaks["rate"] == RATE
    assert peaks["samples"] == LENGTH
    assert len(answer.content) < 6_000
    assert answer.headers["Content-Type"] == "application/json"


def test_peaks_that_the_caller_has_are_not_sent_again(client: Client, as_wav: str) -> None:
    first = get_peaks(client, as_wav)

    same = get_peaks(client, as_wav, **{"If-None-Match": first.headers["ETag"]})
    other = get_peaks(client, as_wav, **{"If-None-Match": '"another"'})

    assert first.headers["ETag"] == f'"{hashlib.sha256(first.content).hexdigest()}"'
    assert same.status_code == 304
    assert same.content == b""
    assert other.content == first.content


def test_peaks_are_the_extremes_of_the_decoded_stems(client: Client, as_wav: str, tmp_path: Path) -> None:
    peaks = get_peaks(client, as_wav).json()

    for path in client.download(as_wav, tmp_path):
        wave = decode(path)
        begins = range(0, wave.shape[1], peaks["per_peak"])
        found = lows_and_highs(peaks["tracks"][path.stem]["peaks"])
        assert len(found) == len(begins)
        for begin, pair in zip(begins, found, strict=True):
            part = wave[:, begin : begin + peaks["per_peak"]]
            expected = np.clip([min(0, part.min()) * 127, max(0, part.max()) * 127], -127, 127)
            assert np.abs(pair - expected).max() <= 1


@pytest.mark.parametrize(
    ("form", "least_db"),
    [
        ({"format": "mp3"}, 35),
        ({"format": "mp3", "mp3_bitrate": 64}, 12),
        ({"format": "wav"}, 35),
        ({"format": "wav", "bit_depth": 24}, 35),
        ({"format": "wav", "bit_depth": 32}, 35),
        ({"format": "flac"}, 35),
        ({"format": "flac", "bit_depth": 24}, 35),
    ],
    ids=lambda value: " ".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_the_mixture_is_encoded_as_the_stems_are_and_in_step_with_them(
    client: Client, song: Path, tmp_path: Path, form: dict[str, Any], least_db: int
) -> None:
    songhash = separate(client, song, **form)
    status = requests.get(f"{client.url}/apiv1/status/{songhash}", timeout=10).json()

    answer = requests.get(client.url + status["mixture"]["url"], timeout=10)

    assert "mixture" not in [track["name"] for track in status["tracks"]]
    assert len(answer.content) == status["mixture"]["bytes"] == status["report"]["mixture"]["bytes"]
    assert hashlib.sha256(answer.content).hexdigest() == status["report"]["mixture"]["sha256"]
    (tmp_path / "mixture").write_bytes(answer.content)
    heard, mixture = decode(tmp_path / "mixture"), decode(song)
    assert heard.shape == mixture.shape
    assert lag(mixture, heard) == 0
    assert snr_db(mixture, heard) > least_db


def test_the_mixture_keeps_the_songs_own_rate(client: Client, tmp_path: Path) -> None:
    mixture = true_waves()["mixture"][:, :48000]
    songhash = separate(client, write(tmp_path / "song.wav", mixture, 48000), format="wav", bit_depth=32)

    answer = requests.get(f"{client.url}/apiv1/track/{songhash}/mixture", timeout=10)

    (tmp_path / "mixture.wav").write_bytes(answer.content)
    assert np.array_equal(decode(tmp_path / "mixture.wav", rate=48000), mixture)


def test_the_mixture_is_no_stem_of_the_archive_and_can_not_be_removed_alone(client: Client, as_wav: str) -> None:
    removal = requests.delete(f"{client.url}/apiv1/remove/{as_wav}/mixture", timeout=10)
    archive = requests.get(f"{client.url}/apiv1/archive/{as_wav}.zip", timeout=10)

    assert problem(removal) == (404, "unknown_stem")
    assert sorted(Path(name).stem for name in ZipFile(io.BytesIO(archive.content)).namelist()) == sorted(STEMS)


@pytest.mark.parametrize("path", ["track/{}/mixture", "peaks/{}"])
def test_the_mixture_and_the_peaks_are_removed_with_the_song(client: Client, song: Path, path: str) -> None:
    songhash = separate(client, song, mp3_bitrate=80)

    client.remove(songhash)

    answer = requests.get(f"{client.url}/apiv1/{path.format(songhash)}", timeout=10)
    assert problem(answer) == (404, "unknown_song")
