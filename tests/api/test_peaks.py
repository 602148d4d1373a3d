"""What the page needs of a song before it loads any sound: waveforms, where slices begin, and the song to compare."""

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

from msas.options import Options
from msas_client import Client
from tests.support.audio import RATE, Wave, decode, lag, snr_db, true_waves, write
from tests.support.requests import problem
from worker.formats import open_encoder
from worker.peaks import Peaks, samples_per_peak, samples_per_slice
from worker.stem import StemFile

STEMS = ["vocals", "drums", "bass", "other"]
EVERY_FORMAT = pytest.mark.parametrize(
    "form",
    [
        {"format": "mp3"},
        {"format": "mp3", "mp3_bitrate": 64},
        {"format": "wav"},
        {"format": "wav", "bit_depth": 24},
        {"format": "wav", "bit_depth": 32},
        {"format": "flac"},
        {"format": "flac", "bit_depth": 24},
    ],
    ids=lambda form: " ".join(map(str, form.values())),
)


def values(encoded: str) -> NDArray[np.int8]:
    """Return the peaks, shape (n, 2): lowest and highest."""
    return np.frombuffer(base64.b64decode(encoded), np.int8).reshape(-1, 2)


def separated(client: Client, song: Path, **options: Any) -> tuple[str, dict[str, Any]]:
    songhash = client.separate(song, **options).songhash
    assert client.wait(songhash, timeout=60).state == "succeeded"
    return songhash, requests.get(f"{client.url}/apiv1/peaks/{songhash}", timeout=10).json()


def file_of(wave: Wave, rate: int, **form: Any) -> tuple[bytes, StemFile]:
    """Encode `wave`, as a worker does, in blocks that begin anywhere."""
    length = wave.shape[1]
    encoder = open_encoder(Options("lite", **form), rate, length, {"title": "x"})
    file = StemFile(encoder, (wave[:, begin : begin + 30_011] for begin in range(0, length, 30_011)), length, rate)
    content = file.read(1 << 30)
    encoder.close()
    return content, file


def test_each_stem_and_the_song_itself_can_be_drawn_from_a_few_kilobytes(client: Client, song: Path) -> None:
    songhash, peaks = separated(client, song)
    assert set(peaks["tracks"]) == {*STEMS, "mixture"}
    assert (peaks["rate"], peaks["samples"]) == (RATE, 268288)
    raw = requests.get(f"{client.url}/apiv1/peaks/{songhash}", timeout=10)
    assert len(raw.content) < 6_000
    assert raw.headers["Content-Type"] == "application/json"


def test_peaks_are_what_the_stems_decode_to(client: Client, song: Path, tmp_path: Path) -> None:
    songhash, peaks = separated(client, song, format="wav")
    for path in client.download(songhash, tmp_path):
        wave = decode(path)
        found = values(peaks["tracks"][path.stem]["peaks"])
        for number, begin in enumerate(range(0, wave.shape[1], peaks["per_peak"])):
            part = wave[:, begin : begin + peaks["per_peak"]]
            expected = np.clip([min(0, part.min()) * 127, max(0, part.max()) * 127], -127, 127)
            assert np.abs(found[number] - expected).max() <= 1
        assert len(found) == number + 1


@pytest.mark.parametrize("minutes", [0.001, 1, 10, 180])
def test_a_waveform_is_at_most_1200_peaks_however_long_the_song(minutes: float) -> None:
    length = round(minutes * 60 * RATE)
    assert -(-length // samples_per_peak(length, RATE)) <= 1_200


@pytest.mark.parametrize("length", [1, 999, 1000, 1001, 54_321])
def test_peaks_do_not_depend_on_the_blocks_that_samples_come_in(length: int) -> None:
    wave = np.random.default_rng(length).normal(0, 0.25, (2, length)).astype(np.float32)
    found = set()
    for block in (1, 7, 1000, 54_321):
        if length / block < 10_000:
            peaks = Peaks(length, 1000)
            for begin in range(0, length, block):
                peaks.add(wave[:, begin : begin + block])
            found.add(peaks.encoded())
    assert len(found) == 1


@EVERY_FORMAT
@pytest.mark.parametrize("rate", [44100, 48000, 22050])
def test_slices_begin_where_they_are_said_to(form: dict[str, Any], rate: int) -> None:
    wave = np.tile(true_waves()["mixture"], 3)
    content, file = file_of(wave, rate, **form)
    assert len(file.starts) == -(-wave.shape[1] // (size := samples_per_slice(file._encoder.frame, rate)))
    assert 4.8 < size / rate < 5.2
    for number, start in enumerate(file.starts):
        if form["format"] == "wav":
            bits = form.get("bit_depth", 16)
            assert start == len(content) - (wave.shape[1] - number * size) * bits // 4
        elif form["format"] == "flac":
            assert content[start : start + 2] == b"\xff\xf8"
            assert _number(content[start + 4 : start + 11]) == number * size // file._encoder.frame
        else:
            assert content[start] == 0xFF
            assert content[start + 1] & 0xE0 == 0xE0
            frames = _frames(content[file.starts[0] : start], rate)
            assert frames == number * size // file._encoder.frame


def _number(coded: bytes) -> int:
    """Read the number of a FLAC frame, coded as UTF-8 codes a character."""
    more = next(bit for bit in range(8) if not coded[0] << bit & 0x80)
    return ord(coded[: more or 1].decode())


def _frames(content: bytes, rate: int) -> int:
    """Count MPEG frames by going from header to header."""
    kbits = {
        1: [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
        0: [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
    }
    position = count = 0
    while position < len(content):
        assert content[position] == 0xFF
        first = content[position + 1] >> 3 & 1
        bitrate = kbits[first][content[position + 2] >> 4] * 1000
        position += (144 if first else 72) * bitrate // rate + (content[position + 2] >> 1 & 1)
        count += 1
    assert position == len(content)
    return count


@EVERY_FORMAT
def test_the_song_itself_lies_beside_its_stems_encoded_as_they_are_and_in_step(
    client: Client, song: Path, tmp_path: Path, form: dict[str, Any]
) -> None:
    songhash = client.separate(song, **form).songhash
    client.wait(songhash, timeout=60)
    status = requests.get(f"{client.url}/apiv1/status/{songhash}", timeout=10).json()
    assert "mixture" not in [track["name"] for track in status["tracks"]]
    answer = requests.get(client.url + status["mixture"]["url"], timeout=10)
    assert len(answer.content) == status["mixture"]["bytes"] == status["report"]["mixture"]["bytes"]
    assert hashlib.sha256(answer.content).hexdigest() == status["report"]["mixture"]["sha256"]
    (tmp_path / "mixture").write_bytes(answer.content)
    heard, mixture = decode(tmp_path / "mixture"), true_waves()["mixture"]
    assert heard.shape == mixture.shape
    assert lag(mixture, heard) == 0
    assert snr_db(mixture, heard) > (12 if form.get("mp3_bitrate") else 35)


def test_the_song_itself_keeps_its_own_rate(client: Client, tmp_path: Path) -> None:
    song = write(tmp_path / "song.wav", true_waves()["mixture"][:, :48000], 48000)
    songhash = client.separate(song, format="wav", bit_depth=32).songhash
    client.wait(songhash, timeout=60)
    answer = requests.get(f"{client.url}/apiv1/track/{songhash}/mixture", timeout=10)
    (tmp_path / "mixture.wav").write_bytes(answer.content)
    heard = decode(tmp_path / "mixture.wav", rate=48000)
    assert np.array_equal(heard, true_waves()["mixture"][:, :48000])


def test_it_is_no_stem_so_it_goes_with_the_song_and_not_alone(client: Client, song: Path) -> None:
    songhash, _ = separated(client, song, mp3_bitrate=80)
    answer = requests.delete(f"{client.url}/apiv1/remove/{songhash}/mixture", timeout=10)
    assert problem(answer) == (404, "unknown_stem")
    archive = requests.get(f"{client.url}/apiv1/archive/{songhash}.zip", timeout=10)
    assert sorted(
        Path(name).stem.rpartition("-")[2] for name in ZipFile(io.BytesIO(archive.content)).namelist()
    ) == sorted(STEMS)
    client.remove(songhash)
    for path in ("track/{}/mixture", "peaks/{}"):
        answer = requests.get(f"{client.url}/apiv1/{path.format(songhash)}", timeout=10)
        assert problem(answer) == (404, "unknown_song")
