"""Mixes of stems, through a real port: exact to the sample, bounded, and with an error for each bad request."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import requests

from local import Service
from msas_client import Client, Refused
from rest.mix.process import MIXES_AT_ONCE
from tests.support.another_rest import another_rest
from tests.support.audio import RATE, STEMS, Wave, decode, snr_db, true_waves, write
from tests.support.processes import eventually
from tests.support.requests import ALICE, API_KEYS, problem, separate

SECONDS = 12.0
FORMATS = ("wav", "flac", "mp3")
LONG_BYTES = 32 * RATE * 8  # of 32 s of stereo floats


def separated_as(client: Client, folder: Path, audio_format: str, seconds: float = SECONDS, **options: object) -> str:
    """Separate a song, by default one longer than two slices; return its songhash."""
    wave = np.tile(true_waves()["mixture"], 3)[:, : round(seconds * RATE)] * np.float32(0.5)
    return separate(client, write(folder / "a song.wav", wave), format=audio_format, **options)


@pytest.fixture(scope="module")
def songs(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The songhashes of the same song separated into stems of each format, by format."""
    folder = tmp_path_factory.mktemp("mixed")
    found = {name: separated_as(client, folder, name) for name in FORMATS}
    yield found
    for songhash in found.values():
        client.remove(songhash)


def fetch(service: Service, songhash: str, audio_format: str, **query: object) -> requests.Response:
    return requests.get(f"{service.url}/apiv1/mix/{songhash}.{audio_format}", params=query, timeout=60)  # type: ignore[arg-type]


def decoded(answer: requests.Response, folder: Path) -> Wave:
    """Return the samples of a downloaded file."""
    answer.raise_for_status()
    path = folder / "downloaded"
    path.write_bytes(answer.content)
    return decode(path)


def decoded_stems(service: Service, songhash: str, folder: Path) -> dict[str, Wave]:
    answers = {stem: requests.get(f"{service.url}/apiv1/track/{songhash}/{stem}", timeout=60) for stem in STEMS}
    return {stem: decoded(answer, folder) for stem, answer in answers.items()}


@pytest.fixture(scope="module")
def stems(
    service: Service, songs: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Wave]]:
    """The decoded stems of `songs`, by format."""
    folder = tmp_path_factory.mktemp("decoded")
    return {name: decoded_stems(service, songhash, folder) for name, songhash in songs.items()}


def summed(stems: dict[str, Wave], **gains: float) -> Wave:
    """Return the sum of the stems with these gains; those not named have 1."""
    parts = [np.float64(gains.get(stem, 1.0)) * wave for stem, wave in stems.items()]
    whole: Wave = np.sum(parts, axis=0).astype(np.float32)
    return whole


@pytest.mark.parametrize("stem_format", FORMATS)
@pytest.mark.parametrize("mix_format", ["wav", "flac"])
def test_a_lossless_mix_equals_the_sum_of_the_decoded_stems(
    service: Service,
    songs: dict[str, str],
    stems: dict[str, dict[str, Wave]],
    tmp_path: Path,
    stem_format: str,
    mix_format: str,
) -> None:
    answer = fetch(service, songs[stem_format], mix_format)

    mix, sum_of_stems = decoded(answer, tmp_path), summed(stems[stem_format])
    assert mix.shape == sum_of_stems.shape
    assert np.abs(mix - sum_of_stems.clip(-1, 1 - 2**-15)).max() <= 0.51 / 2**15, "half a step of 16 bits"
    assert 'filename="a song-mix.' in answer.headers["Content-Disposition"]


@pytest.mark.parametrize("stem_format", FORMATS)
def test_an_mp3_mix_has_the_length_and_the_sound_of_the_sum_of_its_stems(
    service: Service, songs: dict[str, str], stems: dict[str, dict[str, Wave]], tmp_path: Path, stem_format: str
) -> None:
    mix = decoded(fetch(service, songs[stem_format], "mp3", gains="vocals:0,drums:0.5"), tmp_path)

    sum_of_stems = summed(stems[stem_format], vocals=0, drums=0.5)
    assert mix.shape == sum_of_stems.shape
    assert snr_db(sum_of_stems, mix) > 20  # what 320 kbit/s leave of it


@pytest.mark.parametrize("stem_format", FORMATS)
@pytest.mark.parametrize(("start", "end"), [(0, 0.01), (4.99, 5.03), (5.2, 10.7), (11.98, 12)])
def test_a_region_is_cut_from_the_mix_at_exact_samples(
    service: Service,
    songs: dict[str, str],
    stems: dict[str, dict[str, Wave]],
    tmp_path: Path,
    stem_format: str,
    start: float,
    end: float,
) -> None:
    query = {"gains": "vocals:0.25,bass:2", "start": start, "end": end}

    region = decoded(fetch(service, songs[stem_format], "wav", **query), tmp_path)

    whole = summed(stems[stem_format], vocals=0.25, bass=2.0)
    cut = whole[:, round(start * RATE) : round(end * RATE)].clip(-1, 1 - 2**-15)
    assert region.shape == cut.shape
    assert np.abs(region - cut).max() <= 0.001, "below -60 dB"


def test_a_mix_has_the_bit_depth_of_its_stems(service: Service, client: Client, tmp_path: Path) -> None:
    floats = separated_as(client, tmp_path, "wav", 2, bit_depth=32)
    integers = separated_as(client, tmp_path, "flac", 2, bit_depth=24)

    mixes = [fetch(service, floats, "wav"), fetch(service, integers, "wav"), fetch(service, floats, "flac")]
    sums = [summed(decoded_stems(service, songhash, tmp_path)) for songhash in (floats, integers, floats)]

    for mix, sum_of_stems, steps in zip(mixes, sums, (2**24, 2**23, 2**23), strict=True):
        assert np.abs(decoded(mix, tmp_path) - sum_of_stems).max() <= 1.5 / steps
    for songhash in (floats, integers):
        client.remove(songhash)


def test_head_sends_the_headers_of_get_and_makes_no_mix(service: Service, songs: dict[str, str]) -> None:
    url = f"{service.url}/apiv1/mix/{songs['mp3']}.mp3"

    head, get = requests.head(url, timeout=10), requests.get(url, timeout=60)

    assert head.status_code == 200
    assert head.content == b""
    for name in ("Content-Type", "Content-Disposition", "Accept-Ranges"):
        assert head.headers[name] == get.headers[name]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"gains": "vocals:loud"}, (422, "bad_option")),
        ({"gains": "vocals"}, (422, "bad_option")),
        ({"gains": "vocals:-1"}, (422, "bad_option")),
        ({"gains": "vocals:nan"}, (422, "bad_option")),
        ({"gains": "vocals:1e9"}, (422, "bad_option")),
        ({"gains": "vocals:15.9"}, (422, "bad_option")),
        ({"gains": "vocals:1,vocals:1"}, (422, "bad_option")),
        ({"gains": "piano:1"}, (404, "unknown_stem")),
        ({"gains": "mixture:1"}, (404, "unknown_stem")),
        ({"start": "3", "end": "2"}, (422, "bad_option")),
        ({"start": "3", "end": "3"}, (422, "bad_option")),
        ({"start": "12"}, (422, "bad_option")),
        ({"end": "12.1"}, (422, "bad_option")),
        ({"start": "-1"}, (422, "bad_option")),
        ({"start": "a while"}, (422, "bad_option")),
        ({"end": "9" * 400}, (422, "bad_option")),
    ],
)
def test_a_bad_query_is_refused_in_a_sentence(
    service: Service, songs: dict[str, str], query: dict[str, str], told: tuple[int, str]
) -> None:
    answer = fetch(service, songs["mp3"], "mp3", **query)

    assert problem(answer) == told
    assert answer.json()["detail"].endswith(".")


@pytest.mark.parametrize("name", ["0" * 56 + ".mp3", "x.mp3", "0" * 56])
def test_an_unknown_mix_is_answered_with_404(service: Service, name: str) -> None:
    assert problem(requests.get(f"{service.url}/apiv1/mix/{name}", timeout=10)) == (404, "unknown_song")


def test_a_mix_of_another_format_is_answered_with_404(service: Service, songs: dict[str, str]) -> None:
    assert problem(fetch(service, songs["mp3"], "ogg")) == (404, "unknown_song")


def test_a_removed_stem_is_no_part_of_later_mixes(service: Service, client: Client, tmp_path: Path) -> None:
    songhash = separate(client, write(tmp_path / "removed.wav", true_waves()["mixture"][:, : RATE + 71]), format="wav")
    client.remove(songhash, "vocals")

    named = fetch(service, songhash, "wav", gains="vocals:1")
    mix = decoded(fetch(service, songhash, "wav"), tmp_path)
    for stem in ("drums", "bass", "other"):
        client.remove(songhash, stem)
    empty = fetch(service, songhash, "wav")
    client.remove(songhash)

    assert problem(named) == (404, "unknown_stem")
    assert mix.shape == (2, RATE + 71)
    assert problem(empty) == (404, "unknown_stem")


def test_with_keys_a_signed_link_downloads_a_mix_with_any_gains(
    service: Service, songs: dict[str, str], tmp_path: Path
) -> None:
    with another_rest(service, tmp_path, API_KEYS=API_KEYS, ADMIN_KEYS="alice") as url:
        path = f"/apiv1/mix/{songs['mp3']}.wav"
        asked = requests.post(f"{url}/apiv1/links", json={"paths": [path]}, headers=ALICE, timeout=10)
        [link] = asked.json()["links"]

        answer = requests.get(f"{url}{link}&gains=vocals:0&end=1", timeout=60)

        assert answer.status_code == 200
        assert problem(requests.get(f"{url}{path}", timeout=10)) == (401, "unauthorized")


def _begin(service: Service, songhash: str) -> socket.socket:
    """Request a mix of megabytes, and read nothing of it but the status line."""
    host, _, port = service.address.partition(":")
    connection = socket.create_connection((host, int(port)), timeout=60)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.sendall(f"GET /apiv1/mix/{songhash}.wav HTTP/1.1\r\nHost: {service.address}\r\n\r\n".encode())
    assert connection.recv(12) == b"HTTP/1.1 200"
    return connection


@pytest.fixture
def long_song(client: Client, tmp_path: Path) -> Iterator[str]:
    """The songhash of a separated song whose mix has LONG_BYTES, more than what a connection holds unread."""
    wave = np.tile(true_waves()["mixture"], 6)[:, : 32 * RATE]
    song = write(tmp_path / "long.flac", wave, codec="flac")
    songhash = separate(client, song, format="wav", bit_depth=32)
    yield songhash
    with suppress(Refused):  # the test removed it
        client.remove(songhash)


def test_past_the_limit_of_mixes_a_call_is_refused_until_the_readers_have_gone(
    service: Service, long_song: str
) -> None:
    readers = [_begin(service, long_song) for _ in range(MIXES_AT_ONCE)]

    refused = fetch(service, long_song, "mp3", end=0.1)
    alive = requests.get(f"{service.url}/healthz", timeout=10)
    for reader in readers:
        reader.close()
    eventually(lambda: fetch(service, long_song, "mp3", end=0.1).status_code == 200, 60)

    assert problem(refused) == (503, "too_busy")
    assert int(refused.headers["Retry-After"]) > 0
    assert alive.status_code == 200


def test_a_song_that_is_removed_while_its_mix_is_sent_is_never_sent_in_part_as_if_whole(
    service: Service, client: Client, long_song: str
) -> None:
    url = f"{service.url}/apiv1/mix/{long_song}.wav"
    with requests.get(url, stream=True, timeout=60) as answer:
        chunks = answer.iter_content(1 << 16)
        received = len(next(chunks))
        client.remove(long_song)

        with suppress(requests.RequestException):  # the connection breaks off
            received += sum(map(len, chunks))
            assert received > LONG_BYTES, "all of it, where the store had it in hand"

    assert problem(requests.get(url, timeout=10)) == (404, "unknown_song")
