"""What a song's file says about the song's length, and what the worker's survey finds."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame

from msas.audio_file import probe
from msas.errors import TooLong
from tests.support.audio import RATE, write
from worker.pipeline.decode import DecodableSong

_FRAME = 1152  # samples


def frames(seconds: int, kbit: int) -> bytes:
    """Return bare MP3 frames of silence at a constant bit rate, without any header in front."""
    codec = av.CodecContext.create("libmp3lame", "w")
    assert isinstance(codec, AudioCodecContext)
    codec.bit_rate, codec.sample_rate, codec.layout, codec.format = kbit * 1000, RATE, "stereo", "fltp"
    silence = AudioFrame.from_ndarray(np.zeros((2, _FRAME), np.float32), format="fltp", layout="stereo")
    silence.sample_rate = RATE
    parts = []
    for number in range(seconds * RATE // _FRAME):
        silence.pts = number * _FRAME
        parts += codec.encode(silence)
    return b"".join(bytes(packet) for packet in [*parts, *codec.encode(None)])


def length(path: Path, most_minutes: float = 180) -> float | None:
    with path.open("rb") as file:
        return probe(file, most_minutes).seconds


@pytest.fixture(scope="module")
def misleading(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MP3 of 70 s of which FFmpeg guesses, from its first 10 s, that it has more than 5 minutes."""
    path = tmp_path_factory.mktemp("song") / "joined.mp3"
    path.write_bytes(frames(10, 32) + frames(60, 320))
    with av.open(str(path)) as opened:
        assert (opened.duration or 0) / av.time_base > 5 * 60
    return path


def test_an_mp3_without_a_frame_count_is_taken_with_an_unknown_length(misleading: Path) -> None:
    assert length(misleading, most_minutes=2) is None


def test_the_survey_refuses_a_song_of_unknown_length_that_is_too_long(misleading: Path) -> None:
    mixture = DecodableSong.open(misleading)

    with pytest.raises(TooLong):
        mixture.survey(RATE, most_minutes=1)

    assert 69 < mixture.survey(RATE, most_minutes=2).length / RATE < 71


def test_an_mp3_tells_its_length_in_its_first_frame(tmp_path: Path) -> None:
    song = write(tmp_path / "song.mp3", np.zeros((2, 3 * RATE), np.float32), codec="libmp3lame")

    assert length(song) == pytest.approx(3, abs=0.1)


def test_an_mp3_tells_its_length_behind_a_large_tag(tmp_path: Path) -> None:
    song = write(tmp_path / "song.mp3", np.zeros((2, 3 * RATE), np.float32), codec="libmp3lame")
    song.write_bytes(b"ID3\4\0\0\0\2\0\0" + bytes(2 << 14) + song.read_bytes())

    assert length(song) == pytest.approx(3, abs=0.1)


def test_an_mp3_whose_frame_count_was_never_filled_in_has_an_unknown_length(tmp_path: Path) -> None:
    song = write(tmp_path / "song.mp3", np.zeros((2, 3 * RATE), np.float32), codec="libmp3lame")
    content = bytearray(song.read_bytes())
    count = max(content.find(b"Info"), content.find(b"Xing")) + 8
    content[count : count + 4] = bytes(4)
    song.write_bytes(content)

    assert length(song) is None


def test_an_mp3_tells_its_length_in_the_tag_of_fraunhofers_encoder(tmp_path: Path) -> None:
    song, count = tmp_path / "song.mp3", 1000
    sound = frames(3, 128)
    tag = b"VBRI\0\1" + bytes(4) + (417 * count).to_bytes(4, "big") + count.to_bytes(4, "big")
    song.write_bytes(sound[:4] + bytes(32) + tag + bytes(417 - 36 - len(tag)) + sound)

    assert length(song) == pytest.approx(count * _FRAME / RATE, abs=0.1)


def test_a_bare_aac_stream_has_an_unknown_length(tmp_path: Path) -> None:
    song = write(tmp_path / "song.aac", np.zeros((2, 3 * RATE), np.float32), codec="aac")

    assert length(song) is None
