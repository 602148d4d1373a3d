"""Downloading and removing stems, through a real port."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import requests

from local import Service
from msas.store import Store
from msas_client import Client, Refused
from tests.support.audio import RATE, true_waves, write
from tests.support.processes import eventually
from tests.support.requests import problem


@pytest.fixture
def separated(client: Client, tmp_path: Path) -> Iterator[str]:
    """A song that is separated, and removed after the test."""
    songhash = client.separate(
        write(tmp_path / "a song.wav", true_waves()["mixture"][:, RATE : RATE + 33_333])
    ).songhash
    client.wait(songhash, timeout=60)
    yield songhash
    with suppress(Refused):  # a test may have removed it
        client.remove(songhash)


@pytest.mark.parametrize(("name", "stem"), [("vocals", "vocals"), ("vocals.mp3", "vocals"), ("base.mp3", "bass")])
def test_a_stem_is_a_binary_download_under_each_of_its_names(
    service: Service, separated: str, name: str, stem: str
) -> None:
    answer = requests.get(f"{service.url}/apiv1/track/{separated}/{name}", timeout=10)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "audio/mpeg"
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert answer.headers["ETag"]
    assert f'filename="a song-{stem}.mp3"' in answer.headers["Content-Disposition"]


def test_head_sends_the_same_headers_and_no_bytes(service: Service, separated: str) -> None:
    url = f"{service.url}/apiv1/track/{separated}/drums"
    head, get = requests.head(url, timeout=10), requests.get(url, timeout=10)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("Content-Length", "Content-Type", "ETag", "Content-Disposition"):
        assert head.headers[name] == get.headers[name]


@pytest.mark.parametrize("name", ["piano", "vocals.wav", "vocals.mp3.mp3"])
def test_a_stem_that_is_not_there_is_said_to_be_missing_with_those_that_are(
    service: Service, separated: str, name: str
) -> None:
    answer = requests.get(f"{service.url}/apiv1/track/{separated}/{name}", timeout=10)
    assert problem(answer) == (404, "unknown_stem")
    assert "vocals, drums, bass, other" in answer.json()["detail"]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_one_stem_can_be_removed_and_comes_back_when_the_song_is_sent_again(
    service: Service, separated: str, method: str, client: Client, tmp_path: Path
) -> None:
    url = f"{service.url}/apiv1/remove/{separated}/vocals.mp3"
    assert requests.request(method, url, timeout=10).status_code == 200
    assert problem(requests.get(f"{service.url}/apiv1/track/{separated}/vocals", timeout=10)) == (404, "unknown_stem")
    assert [track.name for track in client.status(separated).tracks] == ["drums", "bass", "other"]
    assert client.separate(tmp_path / "a song.wav").songhash == separated
    assert len(client.wait(separated, timeout=60).tracks) == 4


def test_removing_a_song_removes_it_and_all_its_stems_from_the_store(
    service: Service, separated: str, client: Client
) -> None:
    store, settings = Store.from_settings(service.settings), service.settings
    assert (
        len(list(store.minio.list_objects(settings.bucket_out, prefix=separated))) == 7
    )  # stems, mixture, peaks, report
    client.remove(separated)
    assert not list(store.minio.list_objects(settings.bucket_out, prefix=separated))
    assert not list(store.minio.list_objects(settings.bucket_in, prefix=separated))
    assert problem(requests.get(f"{service.url}/apiv1/status/{separated}", timeout=10)) == (404, "unknown_song")


def test_a_song_that_is_being_separated_is_not_served_and_can_be_removed(
    service: Service, client: Client, tmp_path: Path
) -> None:
    song = write(tmp_path / "long.mp3", np.tile(true_waves()["mixture"], 5), codec="libmp3lame")
    songhash = client.separate(song, model="small").songhash
    eventually(lambda: client.status(songhash).state == "running")
    assert problem(requests.get(f"{service.url}/apiv1/track/{songhash}/vocals", timeout=10)) == (409, "not_ready")
    client.remove(songhash)

    def gone() -> bool:
        return requests.get(f"{service.url}/apiv1/status/{songhash}", timeout=10).status_code == 404

    eventually(gone)
    store, settings = Store.from_settings(service.settings), service.settings
    for bucket in (settings.bucket_in, settings.bucket_out):
        assert not list(store.minio.list_objects(bucket, prefix=songhash))


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [("bytes=0-99", 0, 100), ("bytes=100-", 100, None), ("bytes=-50", -50, None), ("bytes=5-999999999", 5, None)],
)
def test_a_range_of_a_stem_is_sent_alone_and_said_to_be_one(
    service: Service, separated: str, wanted: str, start: int, stop: int | None
) -> None:
    url = f"{service.url}/apiv1/track/{separated}/bass"
    whole = requests.get(url, timeout=10).content
    answer = requests.get(url, headers={"Range": wanted}, timeout=10)
    assert answer.status_code == 206
    assert answer.content == whole[start:stop]
    first = start % len(whole)
    last = first + len(answer.content) - 1
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(whole)}"


@pytest.mark.parametrize("wanted", ["bytes=0-1,5-6", "lines=1-2", "bytes=x", "bytes=9-3"])
def test_what_is_no_single_range_gets_the_whole_stem(service: Service, separated: str, wanted: str) -> None:
    answer = requests.get(f"{service.url}/apiv1/track/{separated}/bass", headers={"Range": wanted}, timeout=10)
    assert answer.status_code == 200
    assert answer.headers["Accept-Ranges"] == "bytes"


def test_a_range_beyond_the_stem_is_refused_with_its_size(service: Service, separated: str) -> None:
    url = f"{service.url}/apiv1/track/{separated}/bass"
    answer = requests.get(url, headers={"Range": "bytes=999999999-"}, timeout=10)
    assert problem(answer) == (416, "bad_range")
    assert answer.headers["Content-Range"] == f"bytes */{requests.head(url, timeout=10).headers['Content-Length']}"


def test_a_download_goes_on_where_it_broke_off_and_only_if_the_stem_is_the_same(
    service: Service, separated: str
) -> None:
    url = f"{service.url}/apiv1/track/{separated}/bass"
    whole = requests.get(url, timeout=10)
    assert hashlib.sha256(whole.content).hexdigest() == whole.headers["ETag"].strip('"')
    same = requests.get(url, headers={"Range": "bytes=100-", "If-Range": whole.headers["ETag"]}, timeout=10)
    assert (same.status_code, same.content) == (206, whole.content[100:])
    other = requests.get(url, headers={"Range": "bytes=100-", "If-Range": '"another"'}, timeout=10)
    assert (other.status_code, other.content) == (200, whole.content)
    unchanged = requests.get(url, headers={"If-None-Match": whole.headers["ETag"]}, timeout=10)
    assert (unchanged.status_code, unchanged.content) == (304, b"")


def test_a_songs_name_reaches_the_download_whole_and_never_becomes_a_header(
    service: Service, client: Client, tmp_path: Path
) -> None:
    samples = true_waves()["mixture"][:, 2 * RATE : 2 * RATE + 20_000]
    song = write(tmp_path / "x.wav", samples).read_bytes()
    name = 'ä/日本 "x"; a=\r\nX-Evil: 1\u202e%41.wav'
    answer = requests.post(
        f"{service.url}/apiv1/separate",
        json={"mp3": base64.b64encode(song).decode(), "name": name, "stems": ["bass"]},
        timeout=10,
    )
    songhash = answer.json()["hash"]
    client.wait(songhash, timeout=60)
    headers = requests.get(f"{service.url}/apiv1/track/{songhash}/bass", timeout=10).headers
    assert "X-Evil" not in headers
    _, found = headers["Content-Disposition"].split("filename*=UTF-8''")
    assert unquote(found) == '日本 "x"; a=X-Evil: 1%41-bass.mp3'
    client.remove(songhash)


def test_all_stems_come_as_one_zip_whose_length_is_known_before(service: Service, separated: str) -> None:
    answer = requests.get(f"{service.url}/apiv1/archive/{separated}.zip", timeout=20)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/zip")
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert 'filename="a song.zip"' in answer.headers["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [f"a song/{stem}.mp3" for stem in ("vocals", "drums", "bass", "other")]
        vocals = requests.get(f"{service.url}/apiv1/track/{separated}/vocals", timeout=10).content
        assert archive.read("a song/vocals.mp3") == vocals


@pytest.mark.parametrize("name", ["0" * 56 + ".zip", "0" * 56, "x.zip", "0" * 56 + ".tar"])
def test_an_archive_that_is_not_there_is_said_to_be_missing(service: Service, name: str) -> None:
    assert problem(requests.get(f"{service.url}/apiv1/archive/{name}", timeout=10)) == (404, "unknown_song")
