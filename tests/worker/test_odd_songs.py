"""Songs that other services stumble over: correct stems, or the documented answer; the worker lives on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import requests

from local import Service
from msas.audio_file import open_song, probe
from msas.errors import NotAudio
from msas_client import Client, Failed, Refused
from tests.support.audio import (
    RATE,
    STEMS,
    Wave,
    decode,
    lag,
    resampled,
    snr_db,
    true_waves,
    video_without_sound,
    write,
)
from worker.pipeline.decode import DecodableSong

pytestmark = pytest.mark.usefixtures("worker_lives_on")

Separate = Callable[..., dict[str, Wave]]


@pytest.fixture
def separate(client: Client, tmp_path: Path) -> Separate:
    """Separate a file over HTTP and return its decoded stems."""

    def run(song: Path, rate: int = RATE) -> dict[str, Wave]:
        songhash = client.separate(song).songhash
        client.wait(songhash, timeout=60)
        paths = client.download(songhash, tmp_path / "stems")
        return {path.stem: decode(path, rate=rate) for path in paths}

    return run


def total(stems: dict[str, Wave]) -> Wave:
    summed: Wave = np.sum([stems[stem] for stem in STEMS], axis=0)
    return summed


def refusal(client: Client, song: Path) -> Refused:
    with pytest.raises(Refused) as refused:
        client.separate(song)
    return refused.value


def test_an_empty_file_is_refused(client: Client, tmp_path: Path) -> None:
    (tmp_path / "empty.mp3").write_bytes(b"")
    assert (refusal(client, tmp_path / "empty.mp3").status, refusal(client, tmp_path / "empty.mp3").code) == (
        422,
        "empty_song",
    )


def test_a_text_file_is_refused(client: Client, tmp_path: Path) -> None:
    (tmp_path / "notes.mp3").write_text("These are words, not music.\n" * 200)
    refused = refusal(client, tmp_path / "notes.mp3")
    assert (refused.status, refused.code) == (415, "not_audio")


def test_a_video_without_sound_is_refused(client: Client, tmp_path: Path) -> None:
    refused = refusal(client, video_without_sound(tmp_path / "silent-film.mp4"))
    assert (refused.status, refused.code) == (422, "no_audio_stream")


def test_a_playlist_that_names_other_files_is_refused_and_opens_none(client: Client, tmp_path: Path) -> None:
    inside = write(tmp_path / "inside.mp3", true_waves()["mixture"], codec="libmp3lame")
    playlists = {
        "hls.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\nfile://{inside}\n#EXT-X-ENDLIST\n",
        "list.ffconcat": f"ffconcat version 1.0\nfile {inside}\n",
    }
    for name, text in playlists.items():
        (tmp_path / name).write_text(text)
        assert refusal(client, tmp_path / name).code == "not_audio"


def test_an_mp3_cut_off_in_the_middle_is_separated_as_far_as_it_decodes(separate: Separate, tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.mp3", true_waves()["mixture"], codec="libmp3lame").read_bytes()
    cut = tmp_path / "cut.mp3"
    cut.write_bytes(whole[: len(whole) // 2])
    stems = separate(cut)
    seconds = stems["vocals"].shape[1] / RATE
    assert 2.5 < seconds < 3.5
    assert snr_db(true_waves()["mixture"][:, 2000 : 2 * RATE], total(stems)[:, 2000 : 2 * RATE]) > 12


def test_an_mp3_with_damage_in_the_middle_keeps_what_can_be_decoded(separate: Separate, tmp_path: Path) -> None:
    sound = bytearray(write(tmp_path / "whole.mp3", true_waves()["mixture"], codec="libmp3lame").read_bytes())
    sound[40_000:44_000] = np.random.default_rng(1).bytes(4_000)
    (tmp_path / "damaged.mp3").write_bytes(sound)
    assert separate(tmp_path / "damaged.mp3")["vocals"].shape[1] / RATE > 5


def test_a_song_of_a_tenth_of_a_second_keeps_its_length(separate: Separate, tmp_path: Path) -> None:
    mixture = true_waves()["mixture"][:, 2 * RATE : 2 * RATE + 4410]
    stems = separate(write(tmp_path / "short.wav", mixture))
    assert all(stem.shape[1] == 4410 for stem in stems.values())
    assert snr_db(mixture, total(stems)) > 20


def test_a_single_sample_is_a_song(separate: Separate, tmp_path: Path) -> None:
    stems = separate(write(tmp_path / "click.wav", np.full((2, 1), 0.5, np.float32)))
    assert all(stem.shape[1] == 1 for stem in stems.values())


def test_a_mono_song_is_separated_at_its_own_level(separate: Separate, tmp_path: Path) -> None:
    mono = true_waves()["mixture"].mean(0, keepdims=True)
    both = total(separate(write(tmp_path / "mono.wav", mono, layout="mono")))
    assert snr_db(np.repeat(mono, 2, axis=0), both) > 30


@pytest.mark.parametrize("rate", [8000, 48000])
def test_a_song_at_another_sample_rate_comes_back_at_that_rate_sample_for_sample(
    separate: Separate, tmp_path: Path, rate: int
) -> None:
    mixture = resampled(true_waves()["mixture"], rate)
    stems = separate(write(tmp_path / f"{rate}.wav", mixture, rate), rate)
    assert all(stem.shape == mixture.shape for stem in stems.values())
    assert lag(mixture, total(stems)) == 0
    assert snr_db(mixture, total(stems)) > (30 if rate == 48000 else 15)  # MP3 has 64 kbit/s at most at 8 kHz


def test_a_96_khz_song_comes_back_at_48_khz_the_most_that_mp3_has(separate: Separate, tmp_path: Path) -> None:
    mixture = resampled(true_waves()["mixture"], 96000)
    stems = separate(write(tmp_path / "fine.flac", mixture, 96000, codec="flac"), 48000)
    assert stems["vocals"].shape[1] == round(mixture.shape[1] / 2)


def test_the_centre_channel_of_a_surround_song_is_heard(separate: Separate, tmp_path: Path) -> None:
    waves, silence = true_waves(), np.zeros(true_waves()["vocals"].shape[1], np.float32)
    left, right = waves["mixture"] - waves["vocals"]
    surround = np.stack([left, right, waves["vocals"].mean(0), silence, silence, silence])
    mixed = total(separate(write(tmp_path / "surround.wav", surround, layout="5.1")))
    assert mixed.shape[1] == surround.shape[1]
    assert snr_db(np.stack([left, right]) + surround[2] * np.float32(0.5**0.5), mixed) > 25


@pytest.mark.parametrize(("where", "value"), [(20, b"\x34\x12"), (24, b"\x01\x00\x00\x00"), (24, b"\xff\xff\xff\x7f")])
def test_a_wav_with_an_unknown_codec_or_a_rate_that_no_song_has_is_refused(
    client: Client, tmp_path: Path, where: int, value: bytes
) -> None:
    wav = bytearray(write(tmp_path / "odd.wav", true_waves()["mixture"][:, :RATE], codec="pcm_s16le").read_bytes())
    wav[where : where + len(value)] = value
    (tmp_path / "odd.wav").write_bytes(wav)
    assert refusal(client, tmp_path / "odd.wav").code == "not_audio"


def test_a_song_with_more_channels_than_can_be_mixed_down_fails_and_says_so(client: Client, tmp_path: Path) -> None:
    wav = bytearray(
        write(tmp_path / "many.wav", true_waves()["mixture"][:, : 9 * RATE], codec="pcm_s16le").read_bytes()
    )
    wav[22:24], wav[32:34] = (64).to_bytes(2, "little"), (128).to_bytes(2, "little")
    (tmp_path / "many.wav").write_bytes(wav)
    with pytest.raises((Refused, Failed)) as said:
        client.wait(client.separate(tmp_path / "many.wav").songhash, timeout=60)
    assert isinstance(said.value, Refused | Failed)
    assert said.value.code == "not_audio"


def test_a_silent_song_gives_silent_stems(separate: Separate, tmp_path: Path) -> None:
    stems = separate(write(tmp_path / "silence.wav", np.zeros((2, RATE), np.float32)))
    assert all(np.abs(stem).max() < 1e-4 for stem in stems.values())


def test_a_silent_song_gives_silent_stems_with_demucs(client: Client, tmp_path: Path) -> None:
    songhash = client.separate(write(tmp_path / "still.wav", np.zeros((2, RATE), np.float32)), model="small").songhash
    assert client.wait(songhash, timeout=60).state == "succeeded"


def test_nan_and_infinite_samples_become_silence(tmp_path: Path) -> None:
    wave = np.full((2, 1000), np.nan, np.float32)
    [block] = DecodableSong.open(write(tmp_path / "nan.wav", wave)).blocks(RATE)
    assert not block.any()


@pytest.mark.parametrize("level", [32768, 1e20])
def test_floats_far_beyond_full_scale_are_separated(separate: Separate, tmp_path: Path, level: float) -> None:
    absurd = true_waves()["mixture"][:, : 2 * RATE] * np.float32(level)
    assert total(separate(write(tmp_path / "absurd.wav", absurd))).shape == absurd.shape


def test_a_japanese_name_is_kept_in_the_download(service: Service, client: Client, song: Path, tmp_path: Path) -> None:
    named = tmp_path / "夜に駆ける.mp4"
    named.write_bytes(song.read_bytes() + b"\0")
    songhash = client.separate(named).songhash
    client.wait(songhash, timeout=60)
    answer = requests.head(f"{service.url}/apiv1/track/{songhash}/vocals", timeout=10)
    assert (
        "filename*=UTF-8''%E5%A4%9C%E3%81%AB%E9%A7%86%E3%81%91%E3%82%8B-vocals.mp3"
        in (answer.headers["Content-Disposition"])
    )


def test_probing_returns_the_containers_values(song: Path) -> None:
    with song.open("rb") as file:
        info = probe(file, most_minutes=1)
    assert (info.rate, info.channels, round(info.seconds or 0, 1)) == (44100, 2, 6.1)


def test_only_listed_containers_are_opened_even_where_ffmpeg_knows_more(tmp_path: Path) -> None:
    write(tmp_path / "inside.mp3", true_waves()["mixture"], codec="libmp3lame")
    playlist = tmp_path / "list.ffconcat"
    playlist.write_text("ffconcat version 1.0\nfile inside.mp3\n")
    with av.open(str(playlist)) as opened:
        assert opened.streams.audio, "FFmpeg itself would follow this playlist"
    with playlist.open("rb") as file, pytest.raises(NotAudio), open_song(file):
        pass
