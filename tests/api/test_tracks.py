"""Downloading and removing stems, through a real port."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

import pytest
import requests

from local import Service
from msas.queue import Consumer, JobView, Queue, connect
from msas.queue.connection import connect_blocking
from msas.removal import remove
from msas.store import Store
from msas_client import Client, Refused
from rest.app import create_app
from tests.queue.fixtures import claim_job
from tests.support.another_rest import rest_with_own_queue
from tests.support.audio import RATE, true_waves, write
from tests.support.requests import as_json, new_song, problem, separate
from tests.support.rig import stopped


@pytest.fixture(scope="module")
def separated(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The songhash of a separated song, for tests that only read."""
    song = write(tmp_path_factory.mktemp("read") / "a song.wav", true_waves()["mixture"][:, RATE : RATE + 33_333])
    songhash = separate(client, song)
    yield songhash
    client.remove(songhash)


@pytest.fixture
def removable(client: Client, tmp_path: Path) -> Iterator[str]:
    """The songhash of a separated song, for a test that removes parts of it or all."""
    song = write(tmp_path / "a song.wav", true_waves()["mixture"][:, 2 * RATE : 2 * RATE + 11_111])
    songhash = separate(client, song)
    yield songhash
    with suppress(Refused):  # the test removed it
        client.remove(songhash)


@pytest.mark.parametrize(("name", "stem"), [("vocals", "vocals"), ("vocals.mp3", "vocals"), ("base.mp3", "bass")])
def test_a_stem_is_downloaded_under_each_of_its_names(service: Service, separated: str, name: str, stem: str) -> None:
    answer = requests.get(f"{service.url}/apiv1/track/{separated}/{name}", timeout=10)

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "audio/mpeg"
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert answer.headers["ETag"]
    assert f'filename="a song-{stem}.mp3"' in answer.headers["Content-Disposition"]


def test_head_sends_the_headers_of_get_and_no_bytes(service: Service, separated: str) -> None:
    url = f"{service.url}/apiv1/track/{separated}/drums"
    names = ("Content-Length", "Content-Type", "ETag", "Content-Disposition")

    head, get = requests.head(url, timeout=10), requests.get(url, timeout=10)

    assert head.status_code == 200
    assert head.content == b""
    assert {name: head.headers[name] for name in names} == {name: get.headers[name] for name in names}


def test_head_with_a_range_is_answered_for_the_whole_stem(service: Service, separated: str) -> None:
    url = f"{service.url}/apiv1/track/{separated}/drums"

    head = requests.head(url, headers={"Range": "bytes=0-9"}, timeout=10)

    assert head.status_code == 200
    assert head.headers["Content-Length"] == requests.head(url, timeout=10).headers["Content-Length"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_stem_that_is_gone_from_the_store_is_answered_with_404(service: Service, removable: str, method: str) -> None:
    Store.from_settings(service.settings).remove_stem(removable, "drums", "mp3")

    answer = requests.request(method, f"{service.url}/apiv1/track/{removable}/drums", timeout=10)

    assert answer.status_code == 404


@pytest.mark.parametrize("name", ["piano", "vocals.wav", "vocals.mp3.mp3"])
def test_an_unknown_stem_is_refused_with_the_names_of_those_that_exist(
    service: Service, separated: str, name: str
) -> None:
    answer = requests.get(f"{service.url}/apiv1/track/{separated}/{name}", timeout=10)

    assert problem(answer) == (404, "unknown_stem")
    assert "vocals, drums, bass, other" in answer.json()["detail"]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_removed_stem_is_gone_and_comes_back_when_the_song_is_sent_again(
    service: Service, removable: str, method: str, client: Client, tmp_path: Path
) -> None:
    removal = requests.request(method, f"{service.url}/apiv1/remove/{removable}/vocals.mp3", timeout=10)
    stored = objects(service, removable)

    download = requests.get(f"{service.url}/apiv1/track/{removable}/vocals", timeout=10)
    left = [track.name for track in client.status(removable).tracks]
    again = separate(client, tmp_path / "a song.wav")

    assert removal.status_code == 200
    assert f"{removable}-vocals.mp3" not in stored
    assert problem(download) == (404, "unknown_stem")
    assert left == ["drums", "bass", "other"]
    assert again == removable
    assert len(client.status(removable).tracks) == 4


def test_a_removed_stem_is_no_longer_in_the_report(service: Service, removable: str) -> None:
    requests.delete(f"{service.url}/apiv1/remove/{removable}/vocals", timeout=10).raise_for_status()

    told = requests.get(f"{service.url}/apiv1/status/{removable}", timeout=10).json()["report"]
    published = Store.from_settings(service.settings).published(removable)

    assert list(told["stems"]) == ["drums", "bass", "other"]
    assert told["removed"] == ["vocals"]
    assert published
    assert published[0].to_json() == told


def test_a_stem_can_not_be_removed_twice(service: Service, removable: str) -> None:
    url = f"{service.url}/apiv1/remove/{removable}/vocals"
    requests.delete(url, timeout=10).raise_for_status()

    again = requests.delete(url, timeout=10)

    assert problem(again) == (404, "unknown_stem")


def test_a_stem_of_a_song_that_another_process_removes_is_refused_and_leaves_nothing_in_the_store(
    service: Service, removable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.from_settings(service.settings)
    note_stem_removed = Queue.note_stem_removed

    def too_late(queue: Queue, job: JobView, owner: str) -> int:
        remove(queue, store, removable)
        return note_stem_removed(queue, job, owner)

    monkeypatch.setattr(Queue, "note_stem_removed", too_late)
    answer = create_app(service.settings).test_client().delete(f"/apiv1/remove/{removable}/vocals")

    assert answer.status_code == 409
    assert json.loads(answer.data)["code"] == "not_ready"
    assert store.published(removable) is None


def test_a_song_sent_again_for_a_removed_stem_is_kept_in_the_store_until_it_ends(
    service: Service, removable: str, client: Client, tmp_path: Path
) -> None:
    requests.delete(f"{service.url}/apiv1/remove/{removable}/vocals", timeout=10).raise_for_status()

    with stopped(service.children["worker"]):
        client.separate(tmp_path / "a song.wav")
        message = Store.from_settings(service.settings).message(removable)
    client.wait(removable, timeout=60)

    assert message, "what brings the job back where Redis loses it"


def test_a_song_whose_stem_is_gone_from_the_store_is_separated_anew_when_it_is_sent_again(
    service: Service, removable: str, client: Client, tmp_path: Path
) -> None:
    Store.from_settings(service.settings).remove_stem(removable, "drums", "mp3")

    again = separate(client, tmp_path / "a song.wav")

    assert again == removable
    assert requests.get(f"{service.url}/apiv1/track/{removable}/drums", timeout=10).status_code == 200


def test_a_removed_song_leaves_nothing_in_the_store(service: Service, removable: str, client: Client) -> None:
    stored = objects(service, removable)

    client.remove(removable)

    assert len(stored) == 8, "the song, four stems, the mixture, peaks, a report"
    assert objects(service, removable) == []
    answer = requests.get(f"{service.url}/apiv1/status/{removable}", timeout=10)
    assert problem(answer) == (404, "unknown_song")


def test_a_song_in_work_has_no_stems_yet_and_can_be_removed(service: Service, tmp_path: Path) -> None:
    with rest_with_own_queue(service, tmp_path) as (url, settings):
        body = as_json(new_song(tmp_path, 0.5099))
        songhash = requests.post(f"{url}/apiv1/separate", json=body, timeout=60).json()["hash"]
        lease = claim_job(Consumer(connect(settings), connect_blocking(settings), settings))
        status = requests.get(f"{url}/apiv1/status/{songhash}", timeout=10).json()["status"]

        download = requests.get(f"{url}/apiv1/track/{songhash}/vocals", timeout=10)
        archive = requests.get(f"{url}/apiv1/archive/{songhash}.zip", timeout=10)
        removal = requests.delete(f"{url}/apiv1/remove/{songhash}", timeout=10)
        too_early = requests.post(f"{url}/apiv1/separate", json=body, timeout=60)
        held = lease.renew()
        lease.acknowledge_cancel()

        assert status == "running"
        assert problem(download) == (409, "not_ready")
        assert problem(archive) == (409, "not_ready")
        assert removal.status_code == 200
        assert problem(too_early) == (503, "being_removed")
        assert int(too_early.headers["Retry-After"]) > 0
        assert held == "cancelled"
        assert problem(requests.get(f"{url}/apiv1/status/{songhash}", timeout=10)) == (404, "unknown_song")
        assert objects(service, songhash) == []


def objects(service: Service, songhash: str) -> list[str]:
    """Return the keys of all objects of this song in both buckets."""
    minio, settings = Store.from_settings(service.settings).minio, service.settings
    found = [minio.list_objects(bucket, prefix=songhash) for bucket in (settings.bucket_in, settings.bucket_out)]
    return [str(each.object_name) for listing in found for each in listing]


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [
        ("bytes=0-", 0, None),
        ("bytes=0-99", 0, 100),
        ("bytes=100-", 100, None),
        ("bytes=-50", -50, None),
        ("bytes=5-999999999", 5, None),
    ],
)
def test_a_range_of_a_stem_is_sent_as_partial_content(
    service: Service, separated: str, wanted: str, start: int, stop: int | None
) -> None:
    url = f"{service.url}/apiv1/track/{separated}/bass"
    whole = requests.get(url, timeout=10).content

    answer = requests.get(url, headers={"Range": wanted}, timeout=10)

    assert answer.status_code == 206
    assert answer.content == whole[start:stop]
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    first = start % len(whole)
    last = first + len(answer.content) - 1
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(whole)}"


@pytest.mark.parametrize("wanted", ["bytes=0-1,5-6", "lines=1-2", "bytes=x", "bytes=9-3"])
def test_a_header_that_is_no_single_range_of_bytes_gets_the_whole_stem(
    service: Service, separated: str, wanted: str
) -> None:
    url = f"{service.url}/apiv1/track/{separated}/bass"

    answer = requests.get(url, headers={"Range": wanted}, timeout=10)

    assert answer.status_code == 200
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.content == requests.get(url, timeout=10).content


def test_a_range_beyond_the_stem_is_refused_with_the_stems_size(service: Service, separated: str) -> None:
    url = f"{service.url}/apiv1/track/{separated}/bass"

    answer = requests.get(url, headers={"Range": "bytes=999999999-"}, timeout=10)

    assert problem(answer) == (416, "bad_range")
    assert answer.headers["Content-Range"] == f"bytes */{requests.head(url, timeout=10).headers['Content-Length']}"


def test_the_etag_of_a_stem_is_its_sha256(service: Service, separated: str) -> None:
    stem = requests.get(f"{service.url}/apiv1/track/{separated}/bass", timeout=10)

    assert stem.headers["ETag"] == f'"{hashlib.sha256(stem.content).hexdigest()}"'


def test_a_download_resumes_where_the_etag_still_matches(service: Service, separated: str) -> None:
    url = f"{service.url}/apiv1/track/{separated}/bass"
    whole = requests.get(url, timeout=10)

    rest = requests.get(url, headers={"Range": "bytes=100-", "If-Range": whole.headers["ETag"]}, timeout=10)

    assert rest.status_code == 206
    assert rest.content == whole.content[100:]


def test_a_download_begins_anew_where_the_etag_does_not_match(service: Service, separated: str) -> None:
    url = f"{service.url}/apiv1/track/{separated}/bass"

    answer = requests.get(url, headers={"Range": "bytes=100-", "If-Range": '"another"'}, timeout=10)

    assert answer.status_code == 200
    assert answer.content == requests.get(url, timeout=10).content


@pytest.mark.parametrize(("known", "status"), [("{etag}", 304), ('"another", {etag}', 304), ('"another"', 200)])
def test_a_stem_that_the_caller_has_is_not_sent_again(
    service: Service, separated: str, known: str, status: int
) -> None:
    url = f"{service.url}/apiv1/track/{separated}/bass"
    whole = requests.get(url, timeout=10)

    answer = requests.get(url, headers={"If-None-Match": known.format(etag=whole.headers["ETag"])}, timeout=10)

    assert answer.status_code == status
    assert answer.content == (b"" if status == 304 else whole.content)


def test_a_songs_name_reaches_the_download_and_never_becomes_a_header(
    service: Service, client: Client, tmp_path: Path
) -> None:
    name = 'ä/日本 "x"; a=\r\nX-Evil: 1\u202e%41.wav'
    body = as_json(new_song(tmp_path, 0.4501), name=name, stems=["bass"])
    songhash = requests.post(f"{service.url}/apiv1/separate", json=body, timeout=10).json()["hash"]
    client.wait(songhash, timeout=60)

    headers = requests.get(f"{service.url}/apiv1/track/{songhash}/bass", timeout=10).headers
    client.remove(songhash)

    assert "X-Evil" not in headers
    _, found = headers["Content-Disposition"].split("filename*=UTF-8''")
    assert unquote(found) == '日本 "x"; a=X-Evil: 1%41-bass.mp3'
