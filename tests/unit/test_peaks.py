"""Waveforms of stems, and the bytes of their files at which slices begin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from msas.formats import open_encoder
from msas.options import Options
from tests.support.audio import RATE, Wave, true_waves
from worker.pipeline.peaks import Peaks, samples_per_peak, samples_per_slice
from worker.pipeline.stem import EncodedStem
from worker.watchdog import Watchdog

FORMATS: list[dict[str, Any]] = [
    {"format": "mp3"},
    {"format": "mp3", "mp3_bitrate": 64},
    {"format": "wav"},
    {"format": "wav", "bit_depth": 24},
    {"format": "wav", "bit_depth": 32},
    {"format": "flac"},
    {"format": "flac", "bit_depth": 24},
]


def file_of(wave: Wave, rate: int, **form: Any) -> tuple[bytes, EncodedStem]:
    """Encode `wave`, as a worker does, in blocks that begin anywhere."""
    length = wave.shape[1]
    encoder = open_encoder(Options("lite", **form), rate, length, {"title": "x"})
    blocks = (wave[:, begin : begin + 30_011] for begin in range(0, length, 30_011))
    file = EncodedStem(encoder, blocks, length, rate, Watchdog(600))
    content = file.read(1 << 30)
    encoder.close()
    return content, file


@pytest.mark.parametrize("minutes", [0.001, 1, 10, 180])
def test_a_waveform_has_at_most_1200_peaks(minutes: float) -> None:
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


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: " ".join(map(str, form.values())))
@pytest.mark.parametrize("rate", [44100, 48000, 22050])
def test_each_slice_begins_at_its_listed_byte(form: dict[str, Any], rate: int) -> None:
    wave = np.tile(true_waves()["mixture"], 2)

    content, file = file_of(wave, rate, **form)

    frame = file._encoder.frame
    size = samples_per_slice(frame, rate)
    assert 4.8 < size / rate < 5.2
    assert len(file.starts) == -(-wave.shape[1] // size) >= 3
    for number, start in enumerate(file.starts):
        if form["format"] == "wav":
            bits = form.get("bit_depth", 16)
            assert start == len(content) - (wave.shape[1] - number * size) * bits // 4
        elif form["format"] == "flac":
            assert content[start : start + 2] == b"\xff\xf8"
            assert read_frame_number(content[start + 4 : start + 11]) == number * size // frame
        else:
            assert content[start] == 0xFF
            assert content[start + 1] & 0xE0 == 0xE0
            assert count_mpeg_frames(content[file.starts[0] : start], rate) == number * size // frame


def read_frame_number(coded: bytes) -> int:
    """Read the number of a FLAC frame, coded as UTF-8 codes a character."""
    more = next(bit for bit in range(8) if not coded[0] << bit & 0x80)
    return ord(coded[: more or 1].decode())


def count_mpeg_frames(content: bytes, rate: int) -> int:
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
