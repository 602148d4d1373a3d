"""The options of a separation: what can be asked for, what comes of it, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import requests

from msas.job import BrokenMessage, Job
from msas.models import LITE
from msas.options import Options
from msas.problem import BadOption, TooLong
from msas_client import Client, Refused
from tests.support.audio import RATE, STEMS, Wave, decode, lag, resampled, snr_db, true_waves, write
from worker.decode import Mixture
from worker.formats.flac import FlacEncoder

NESTED: list[Any] = []
for _ in range(2000):
    NESTED = [NESTED]


def understood(**given: Any) -> Options:
    return Options.from_fields(given, [LITE], "lite")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"stems": ["vocals", "piano"]}, "yields no stem 'piano'; choose one of: vocals, drums, bass, other"),
        ({"stems": "vocals,piano"}, "yields no stem 'piano'"),
        ({"stems": [7]}, "must be a list of stems"),
        ({"stems": {"vocals": 1}}, "must be a list of stems"),
        ({"two_stems": "piano"}, "yields no stem 'piano'"),
        ({"two_stems": ["vocals"]}, "'two_stems' must be a string"),
        ({"two_stems": "vocals", "stems": ["vocals"]}, "exclude each other"),
        ({"two_stems": "vocals", "residual": True}, "nothing is left for a residual"),
        ({"format": "ogg"}, "can not be 'ogg'; choose one of: mp3, wav, flac"),
        ({"format": "../mp3"}, "choose one of: mp3, wav, flac"),
        ({"mp3_bitrate": 321}, "can not be 321; choose one of: 64, 80, 96"),
        ({"mp3_bitrate": True}, "choose one of: 64, 80"),
        ({"format": "wav", "mp3_bitrate": 320}, "A wav has no 'mp3_bitrate'"),
        ({"bit_depth": 16}, "An mp3 has no 'bit_depth'"),
        ({"format": "wav", "bit_depth": 20}, "choose one of: 16, 24, 32"),
        ({"format": "flac", "bit_depth": 32}, "choose one of: 16, 24"),
        ({"overlap": 1}, "choose a number from 0 to 0.9"),
        ({"overlap": -0.1}, "choose a number from 0 to 0.9"),
        ({"overlap": float("nan")}, "choose a number from 0 to 0.9"),
        ({"overlap": "much"}, "choose a number from 0 to 0.9"),
        ({"overlap": 10**400}, "choose a number from 0 to 0.9"),
        ({"shifts": -1}, "choose one of: 0, 1, 2"),
        ({"shifts": 1.5}, "choose one of: 0, 1, 2"),
        ({"shifts": 11}, "choose one of: 0, 1, 2"),
        ({"residual": "maybe"}, "choose true or false"),
        ({"residual": {"a": 1}}, "can not be a dict; choose true or false"),
        ({"format": NESTED}, "can not be a list; choose one of: mp3, wav, flac"),
        ({"model": NESTED}, "The model a list is not offered here"),
        ({"two_stems": NESTED}, "must be a string, but is a list"),
        ({"stems": NESTED}, "must be a list of stems"),
        ({"overlap": NESTED}, "choose a number from 0 to 0.9"),
        ({"model": "nonesuch"}, "The model 'nonesuch' is not offered here; choose one of: lite"),
    ],
)
def test_what_can_not_be_honoured_is_refused_with_what_can(given: dict[str, Any], why: str) -> None:
    with pytest.raises(BadOption, match=r"^.{1,300}$") as refused:
        understood(**given)
    assert why in refused.value.detail


def test_options_at_their_default_change_no_songhash() -> None:
    explicit = understood(
        model="lite", stems=list(reversed(STEMS)), two_stems=None, format="mp3", mp3_bitrate=320, bit_depth=None,
        overlap=0.25, shifts=0, residual=False,
    )  # fmt: skip
    assert explicit.canonical() == understood().canonical() == b'{"model":"lite"}'


def test_options_in_other_words_are_the_same_options() -> None:
    as_text = understood(stems="drums, vocals", overlap="0.5", shifts="2", residual="true", mp3_bitrate="128")
    as_json = understood(stems=["vocals", "drums", "vocals"], overlap=0.5, shifts=2, residual=True, mp3_bitrate=128)
    assert as_text == as_json
    assert as_json.canonical() == (
        b'{"model":"lite","mp3_bitrate":128,"overlap":0.5,"residual":true,"shifts":2,"stems":["vocals","drums"]}'
    )


def test_options_travel_through_the_queue_unchanged() -> None:
    options = understood(format="flac", bit_depth=24, stems=["bass"], shifts=3, residual=True)
    assert Job.from_message(Job("0" * 56, options).message()).options == options


def test_a_foreign_message_with_options_of_no_meaning_is_broken() -> None:
    message = json.dumps({"hash": "0" * 56, "options": {"model": "lite", "format": "ogg"}})
    with pytest.raises(BrokenMessage, match="choose one of: mp3, wav, flac"):
        Job.from_message(message.encode())


def stems_of(client: Client, song: Path, folder: Path, rate: int = RATE, **options: Any) -> dict[str, Wave]:
    """Separate over HTTP; return the decoded stems."""
    songhash = client.separate(song, **options).songhash
    client.wait(songhash, timeout=120)
    paths = client.download(songhash, folder)
    return {path.stem: decode(path, rate=rate) for path in paths}


@pytest.fixture(scope="module")
def wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("songs") / "song.wav", true_waves()["mixture"][:, : 3 * RATE + 17])


def test_only_the_stems_that_were_asked_for_are_made(client: Client, wav: Path, tmp_path: Path) -> None:
    stems = stems_of(client, wav, tmp_path, stems=["drums", "bass"], format="wav", bit_depth=32)
    assert list(stems) == ["drums", "bass"]
    everything = stems_of(client, wav, tmp_path, format="wav", bit_depth=32)
    assert np.array_equal(stems["drums"], everything["drums"])


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
    "options",
    [{"format": "mp3"}, {"format": "wav"}, {"format": "wav", "bit_depth": 32}, {"format": "flac", "bit_depth": 24}],
    ids=str,
)
def test_stems_have_exactly_the_songs_length_and_no_lag_in_every_format_and_sum_to_it_with_the_residual(
    client: Client, tmp_path: Path, song_rate: int, options: dict[str, Any]
) -> None:
    mixture = true_waves()["mixture"][:, : 5 * RATE + 1]
    if song_rate != RATE:
        mixture = resampled(mixture, song_rate)
    song = write(tmp_path / "song.wav", mixture, rate=song_rate)
    stems = stems_of(client, song, tmp_path, rate=song_rate, residual=True, **options)
    assert list(stems) == [*STEMS, "residual"]
    assert all(stem.shape == mixture.shape for stem in stems.values())
    total: Wave = np.sum(list(stems.values()), axis=0)
    assert lag(mixture, total) == 0
    within = 90 if options.get("bit_depth") else 60 if options["format"] == "wav" else 35
    assert snr_db(mixture, total) > within
    # Each stem by itself: the sum without it is what it must line up with.
    for stem in STEMS:
        assert lag(mixture - (total - stems[stem]), stems[stem]) == 0, stem


def test_every_stem_of_a_48_khz_song_lines_up_with_its_truth_to_a_fraction_of_a_sample(
    client: Client, tmp_path: Path
) -> None:
    """A click where the model can not miss it: its sources must have it where the song has it."""
    mixture = np.zeros((2, 96_000), np.float32)
    mixture[:, 48_000] = 0.9
    stems = stems_of(
        client, write(tmp_path / "click.wav", mixture, rate=48_000), tmp_path, 48_000, format="wav", bit_depth=32
    )
    total: Wave = np.sum(list(stems.values()), axis=0)
    assert int(np.abs(total[0]).argmax()) == 48_000
    before, after = total[0, 47_999], total[0, 48_001]
    assert abs(before - after) < 0.01, "the peak is centred on the sample"


def test_tags_are_copied_with_the_stems_name_in_the_title(client: Client, song: Path, tmp_path: Path) -> None:
    tagged = tmp_path / "tagged.mp3"
    with av.open(str(song)) as source, av.open(str(tagged), "w") as target:
        target.metadata.update({"title": "Falcon", "artist": "The Easton Ellises", "album": "夜"})
        stream = target.add_stream("libmp3lame", rate=RATE, layout="stereo")
        for frame in source.decode(audio=0):
            frame.pts = None
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    songhash = client.separate(tagged, format="flac", stems=["vocals"]).songhash
    client.wait(songhash, timeout=60)
    [stem] = client.download(songhash, tmp_path)
    with av.open(str(stem)) as container:
        found = {name.lower(): text for name, text in container.metadata.items()}
    assert found["title"] == "Falcon (vocals)"
    assert (found["artist"], found["album"]) == ("The Easton Ellises", "夜")


def test_the_same_song_twice_gives_the_same_bytes(client: Client, wav: Path, tmp_path: Path) -> None:
    runs = []
    for run in ("first", "second"):
        songhash = client.separate(wav, model="pair", shifts=2).songhash
        client.wait(songhash, timeout=120)
        runs.append([path.read_bytes() for path in client.download(songhash, tmp_path / run)])
        client.remove(songhash)
    assert runs[0] == runs[1]


def test_the_status_says_which_options_were_chosen(client: Client, wav: Path) -> None:
    songhash = client.separate(wav, format="flac", shifts=1, stems=["vocals"]).songhash
    found = requests.get(f"{client.url}/apiv1/status/{songhash}", timeout=10).json()
    assert found["options"]["format"] == "flac"
    assert (found["options"]["shifts"], found["options"]["stems"]) == (1, ["vocals"])
    client.wait(songhash, timeout=60)


def test_a_song_that_says_it_is_too_long_is_refused_before_anything_is_computed(client: Client, tmp_path: Path) -> None:
    encoder = FlacEncoder(RATE, 200 * 60 * RATE, 16, {})
    (tmp_path / "long.flac").write_bytes(encoder.begin() + encoder.encode(true_waves()["mixture"]))
    with pytest.raises(Refused, match="longer than the 180 minutes") as refused:
        client.separate(tmp_path / "long.flac")
    assert (refused.value.status, refused.value.code) == (422, "too_long")


def test_a_song_that_turns_out_too_long_while_it_is_decoded_is_given_up_there(wav: Path) -> None:
    with pytest.raises(TooLong, match=r"longer than the 0\.02 minutes"):
        Mixture.open(wav).survey(RATE, most_minutes=0.02)
