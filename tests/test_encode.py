"""MP3 stems decode to exactly the samples that went in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.audio import RATE, decode, lag, snr_db, true_waves
from worker.encode import MP3_RATES, encode_mp3, mp3_rate
from worker.lame_header import write_length


@pytest.mark.parametrize("rate", MP3_RATES)
@pytest.mark.parametrize("past_a_frame", [0, 1, 47, 48, 575])
def test_an_mp3_decodes_to_exactly_its_length_at_every_rate(tmp_path: Path, rate: int, past_a_frame: int) -> None:
    length = 5 * 1152 + past_a_frame
    encode_mp3(tmp_path / "stem.mp3", true_waves()["mixture"][:, RATE : RATE + length], rate)
    assert decode(tmp_path / "stem.mp3", rate=rate).shape == (2, length)


@pytest.mark.parametrize("length", [1, 2, 100, 1153])
def test_the_shortest_songs_keep_their_length(tmp_path: Path, length: int) -> None:
    encode_mp3(tmp_path / "stem.mp3", np.full((2, length), 0.3, np.float32), RATE)
    assert decode(tmp_path / "stem.mp3").shape == (2, length)


def test_an_mp3_is_not_late(tmp_path: Path) -> None:
    mixture = true_waves()["mixture"]
    encode_mp3(tmp_path / "stem.mp3", mixture, RATE)
    assert lag(mixture, decode(tmp_path / "stem.mp3")) == 0
    assert snr_db(mixture, decode(tmp_path / "stem.mp3")) > 35


def test_values_beyond_one_are_kept(tmp_path: Path) -> None:
    loud = true_waves()["mixture"] * 3
    encode_mp3(tmp_path / "stem.mp3", loud, RATE)
    assert np.abs(decode(tmp_path / "stem.mp3")).max() > 1.5


def test_the_same_samples_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.mp3", "other.mp3"):
        encode_mp3(tmp_path / name, true_waves()["mixture"], RATE)
    assert (tmp_path / "one.mp3").read_bytes() == (tmp_path / "other.mp3").read_bytes()


def test_a_rate_that_mp3_does_not_know_becomes_the_next_one_up() -> None:
    assert [mp3_rate(rate) for rate in (4000, 8000, 37800, 44100, 96000)] == [8000, 8000, 44100, 44100, 48000]


def test_a_file_without_a_lame_header_is_said_to_have_none(tmp_path: Path) -> None:
    (tmp_path / "none.mp3").write_bytes(bytes(100))
    with pytest.raises(ValueError, match="no LAME header"):
        write_length(tmp_path / "none.mp3", 1, 1152)
