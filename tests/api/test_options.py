"""The options of a separation: what each changes in the stems."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import requests

from msas.errors import TooLong
from msas.formats.flac import FlacEncoder
from msas_client import Client, Refused
from tests.support.audio import RATE, STEMS, Wave, decode, lag, resampled, snr_db, true_waves, write
from tests.support.requests import separate
from worker.pipeline.decode import DecodableSong


def stems_of(client: Client, song: Path, folder: Path, rate: int = RATE, **options: Any) -> dict[str, Wave]:
    """Separate over HTTP; return the decoded stems."""
    paths = client.download(separate(client, song, **options), folder)
    return {path.stem: decode(path, rate=rate) for path in paths}


@pytest.fixture(scope="module")
def wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("songs") / "song.wav", true_waves()["mixture"][:, : RATE + 17])


@pytest.fixture(scope="module")
def all_stems(client: Client, wav: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Wave]:
    return stems_of(client, wav, tmp_path_factory.mktemp("stems"), format="wav", bit_depth=32)


def test_only_the_stems_that_were_asked_for_are_made(
    client: Client, wav: Path, tmp_path: Path, all_stems: dict[str, Wave]
) -> None:
    stems = stems_of(client, wav, tmp_path, stems=["drums", "bass"], format="wav", bit_depth=32)

    assert list(stems) == ["drums", "bass"]
    assert np.array_equal(stems["drums"], all_stems["drums"])
    assert np.array_equal(stems["bass"], all_stems["bass"])


def test_two_stems_are_one_stem_and_all_the_rest_of_the_song(client: Client, wav: Path, tmp_path: Path) -> None:
    stems = stems_of(client, wav, tmp_path, two_stems="vocals", format="wav", bit_depth=32)

    assert list(stems) == ["vocals", "no_vocals"]
    assert snr_db(decode(wav), stems["vocals"] + stems["no_vocals"]) > 120


def test_the_residual_is_what_the_chosen_stems_leave_of_the_song(client: Client, wav: Path, tmp_path: Path) -> None:
    stems = stems_of(client, wav, tmp_path, stems=["vocals"], residual=True, format="wav", bit_depth=32, model="small")

    assert list(stems) == ["vocals", "residual"]
    assert snr_db(decode(wav), stems["vocals"] + stems["residual"]) > 90


@pytest.mark.parametrize("song_rate", [44100, 48000])
@pytest.mark.parametrize(
    ("options", "least_db"),
    [
        ({"format": "mp3"}, 35),
        ({"format": "wav"}, 60),
        ({"format": "wav", "bit_depth": 32}, 90),
        ({"format": "flac", "bit_depth": 24}, 90),
    ],
    ids=str,
)
def test_stems_have_the_songs_length_no_lag_and_sum_to_the_song_with_the_residual(
    client: Client, tmp_path: Path, song_rate: int, options: dict[str, Any], least_db: int
) -> None:
    mixture = true_waves()["mixture"][:, 2 * RATE : 3 * RATE + 6_001]
    if song_rate != RATE:
        mixture = resampled(mixture, song_rate)
    song = write(tmp_path / "song.wav", mixture, rate=song_rate)

    stems = stems_of(client, song, tmp_path, rate=song_rate, residual=True, **options)

    assert list(stems) == [*STEMS, "residual"]
    assert {stem.shape for stem in stems.values()} == {mixture.shape}
    total: Wave = np.sum(list(stems.values()), axis=0)
    assert lag(mixture, total) == 0
    assert snr_db(mixture, total) > least_db
    # Each stem by itself: it must line up with what the others leave of the song.
    lags = {stem: lag(mixture - (total - stems[stem]), stems[stem]) for stem in STEMS}
    assert lags == dict.fromkeys(STEMS, 0)


def test_stems_of_a_48_khz_song_line_up_with_it_to_a_fraction_of_a_sample(client: Client, tmp_path: Path) -> None:
    """The song is one click, which the sum of the stems must have where the song has it."""
    mixture = np.zeros((2, 48_000), np.float32)
    mixture[:, 24_000] = 0.9
    song = write(tmp_path / "click.wav", mixture, rate=48_000)

    stems = stems_of(client, song, tmp_path, 48_000, format="wav", bit_depth=32)

    total: Wave = np.sum(list(stems.values()), axis=0)
    assert int(np.abs(total[0]).argmax()) == 24_000
    before, after = total[0, 23_999], total[0, 24_001]
    assert abs(before - after) < 0.01, "the peak is centred on the sample"


def test_tags_are_copied_with_the_stems_name_in_the_title(client: Client, wav: Path, tmp_path: Path) -> None:
    tags = {"title": "Falcon", "artist": "The Easton Ellises", "album": "夜"}
    tagged = tmp_path / "tagged.mp3"
    with av.open(str(wav)) as source, av.open(str(tagged), "w") as target:
        target.metadata.update(tags)
        stream = target.add_stream("libmp3lame", rate=RATE, layout="stereo")
        for frame in source.decode(audio=0):
            frame.pts = None
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))

    [stem] = client.download(separate(client, tagged, format="flac", stems=["vocals"]), tmp_path)

    with av.open(str(stem)) as container:
        found = {name.lower(): text for name, text in container.metadata.items()}
    assert {name: found[name] for name in tags} == {**tags, "title": "Falcon (vocals)"}


def test_the_same_song_with_random_shifts_gives_the_same_bytes_twice(client: Client, wav: Path, tmp_path: Path) -> None:
    runs = []
    for run in ("first", "second"):
        songhash = separate(client, wav, model="small", shifts=2)
        runs.append([path.read_bytes() for path in client.download(songhash, tmp_path / run)])
        client.remove(songhash)

    assert len(runs[0]) == 4
    assert runs[0] == runs[1]


def test_the_status_says_which_options_were_chosen(client: Client, wav: Path) -> None:
    songhash = separate(client, wav, format="flac", shifts=1, stems=["vocals"])

    options = requests.get(f"{client.url}/apiv1/status/{songhash}", timeout=10).json()["options"]

    assert options["format"] == "flac"
    assert options["shifts"] == 1
    assert options["stems"] == ["vocals"]


def test_a_song_whose_header_says_that_it_is_too_long_is_refused_at_once(client: Client, tmp_path: Path) -> None:
    encoder = FlacEncoder(RATE, 200 * 60 * RATE, 16, {})
    song = encoder.begin() + encoder.encode(true_waves()["mixture"])
    (tmp_path / "long.flac").write_bytes(song)

    with pytest.raises(Refused, match="longer than 180 minutes") as refused:
        client.separate(tmp_path / "long.flac")

    assert refused.value.status == 422
    assert refused.value.code == "too_long"


def test_a_song_that_turns_out_too_long_is_refused_while_it_is_decoded(wav: Path) -> None:
    with pytest.raises(TooLong, match=r"longer than 0\.01 minutes"):
        DecodableSong.open(wav).survey(RATE, most_minutes=0.01)
