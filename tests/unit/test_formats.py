"""Stems in every format decode to exactly the samples that went in, and carry their tags."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest

from msas.formats import open_encoder, stem_rate
from msas.formats.encoder import quantise
from msas.formats.mp3 import MP3_RATES, Mp3Encoder, mp3_rate
from msas.formats.wav import WavEncoder
from msas.options import BITRATES, Options
from tests.support.audio import RATE, Wave, decode, encoded, lag, snr_db, true_waves

TAGS = {"title": "Fünf Sätze (vocals)", "artist": "ナイト", "album": "A & B"}


def mp3(path: Path, wave: Wave, rate: int = RATE, kbits: int = 320) -> Path:
    return encoded(Mp3Encoder(rate, wave.shape[1], kbits, {}), wave, path)


def excerpt(samples: int) -> Wave:
    return true_waves()["mixture"][:, RATE : RATE + samples]


@pytest.mark.parametrize("rate", MP3_RATES)
@pytest.mark.parametrize("past_a_frame", [0, 1, 47, 48, 575, 576, 577, 1151])
def test_an_mp3_decodes_to_exactly_its_length_at_every_rate(tmp_path: Path, rate: int, past_a_frame: int) -> None:
    length = 5 * 1152 + past_a_frame
    path = mp3(tmp_path / "stem.mp3", excerpt(length), rate)
    assert decode(path, rate=rate).shape == (2, length)


@pytest.mark.parametrize("kbits", BITRATES)
@pytest.mark.parametrize("rate", [16000, 44100, 48000])
def test_an_mp3_decodes_to_exactly_its_length_at_every_bitrate(tmp_path: Path, rate: int, kbits: int) -> None:
    path = mp3(tmp_path / "stem.mp3", excerpt(100_003), rate, kbits)
    assert decode(path, rate=rate).shape == (2, 100_003)


@pytest.mark.parametrize("rate", MP3_RATES)
@pytest.mark.parametrize("length", [1, 576, 1152, 100_003])
def test_the_streamed_lame_header_equals_the_one_lame_writes_at_the_end(rate: int, length: int) -> None:
    encoder = Mp3Encoder(rate, length, 320, {})
    ours = encoder.begin() + encoder.encode(excerpt(length)) + encoder.end()
    theirs = encoder._lame.header()
    encoder.close()
    mine, lames = ours[ours.index(b"Info") :], theirs[theirs.index(b"Info") :]
    assert mine[8:12] == lames[8:12], "the number of frames"
    assert mine[141:144] == lames[141:144], "delay and padding"
    assert int.from_bytes(mine[12:16], "big") == len(ours), "the bytes of the whole"


@pytest.mark.parametrize("length", [1, 2, 100, 1153])
@pytest.mark.parametrize(("kind", "bits"), [("mp3", 16), ("wav", 16), ("wav", 32), ("flac", 16), ("flac", 24)])
def test_the_shortest_songs_keep_their_length(tmp_path: Path, kind: str, bits: int, length: int) -> None:
    wave = np.full((2, length), 0.3, np.float32)
    encoder = open_encoder(Options("lite", format=kind, bit_depth=bits), RATE, length, {})
    assert decode(encoded(encoder, wave, tmp_path / f"stem.{kind}")).shape == (2, length)


def test_an_mp3_decodes_without_delay(tmp_path: Path) -> None:
    mixture = true_waves()["mixture"]
    heard = decode(mp3(tmp_path / "stem.mp3", mixture))
    assert lag(mixture, heard) == 0
    assert snr_db(mixture, heard) > 35


@pytest.mark.parametrize(
    ("kind", "bits", "above_db"),
    [("wav", 16, 80), ("wav", 24, 130), ("wav", 32, 300), ("flac", 16, 80), ("flac", 24, 130)],
)
@pytest.mark.parametrize("rate", [44100, 48000, 96000])
def test_wav_and_flac_hold_the_samples_as_closely_as_their_depth_allows(
    tmp_path: Path, kind: str, bits: int, above_db: float, rate: int
) -> None:
    wave = excerpt(100_003)
    encoder = open_encoder(Options("lite", format=kind, bit_depth=bits), rate, wave.shape[1], {})
    path = encoded(encoder, wave, tmp_path / f"stem.{kind}")
    heard = decode(path, rate=rate)
    assert heard.shape == wave.shape
    assert snr_db(wave, heard) > above_db
    with av.open(str(path)) as container:
        assert container.streams.audio[0].duration == wave.shape[1], "the header says the length"


def test_values_beyond_one_are_kept_in_mp3_and_float_wav(tmp_path: Path) -> None:
    loud = true_waves()["mixture"] * 3
    assert np.abs(decode(mp3(tmp_path / "stem.mp3", loud))).max() > 1.5
    heard = decode(encoded(WavEncoder(RATE, loud.shape[1], 32, {}), loud, tmp_path / "stem.wav"))
    assert np.array_equal(heard, loud)


@pytest.mark.parametrize("kbits", [64, 320])
@pytest.mark.parametrize("level", [1e3, 1e6, 1e15, np.inf, np.nan])
def test_extreme_samples_do_not_end_the_process(tmp_path: Path, kbits: int, level: float) -> None:
    noise = np.random.default_rng(0).normal(size=(2, RATE)).astype(np.float32) * np.float32(level)
    assert decode(mp3(tmp_path / "stem.mp3", noise, kbits=kbits)).shape == noise.shape


@pytest.mark.parametrize(("kind", "bits"), [("wav", 16), ("wav", 24), ("flac", 16), ("flac", 24)])
def test_integers_clip_values_beyond_one_and_count_them(tmp_path: Path, kind: str, bits: int) -> None:
    wave = np.array([[0.5, 1.0, 1.5, -1.0, -2.0], [0.0, 0.0, 3.0, 0.0, 0.0]], np.float32)
    encoder = open_encoder(Options("lite", format=kind, bit_depth=bits), RATE, 5, {})
    heard = decode(encoded(encoder, wave, tmp_path / f"stem.{kind}"))
    assert encoder.clipped == 3
    assert np.abs(heard - wave.clip(-1, 1)).max() < 1e-4


def test_quantising_rounds_to_the_nearest_step() -> None:
    integers, clipped = quantise(np.array([[0.4, 0.6], [-0.4, -0.6]], np.float32) / np.float32(32768), 16)
    assert integers.tolist() == [[0, 0], [1, -1]]
    assert clipped == 0


@pytest.mark.parametrize("kind", ["mp3", "wav", "flac"])
def test_tags_of_any_script_are_carried(tmp_path: Path, kind: str) -> None:
    wave = excerpt(5000)
    path = encoded(open_encoder(Options("lite", format=kind), RATE, 5000, TAGS), wave, tmp_path / f"stem.{kind}")
    with av.open(str(path)) as container:
        found = {name.lower(): text for name, text in container.metadata.items()}
    assert {name: found[name] for name in TAGS} == TAGS


@pytest.mark.parametrize("kind", ["mp3", "wav", "flac"])
def test_the_same_samples_give_the_same_bytes(tmp_path: Path, kind: str) -> None:
    one, other = (
        encoded(open_encoder(Options("lite", format=kind), RATE, 50_000, TAGS), excerpt(50_000), tmp_path / name)
        for name in ("one", "other")
    )
    assert one.read_bytes() == other.read_bytes()


def test_a_wav_above_four_gigabytes_has_a_64_bit_size() -> None:
    length = 600_000_000
    header = WavEncoder(RATE, length, 32, {}).begin()
    assert header[:4] == b"RF64"
    assert int.from_bytes(header[28:36], "little") == length * 8
    file = io.BytesIO(header + bytes(80_000))
    with av.open(file, "r") as container:
        assert container.duration is not None
        assert container.duration / 1e6 == pytest.approx(length / RATE, abs=0.1)


def test_an_unsupported_mp3_rate_becomes_the_next_higher_one() -> None:
    assert [mp3_rate(rate) for rate in (4000, 8000, 37800, 44100, 96000)] == [8000, 8000, 44100, 44100, 48000]


def test_wav_and_flac_keep_every_rate_that_they_can() -> None:
    assert stem_rate(Options("lite", format="wav"), 768_000) == 768_000
    assert stem_rate(Options("lite", format="flac"), 37_800) == 37_800
    assert stem_rate(Options("lite", format="flac"), 768_000) == 655_350
