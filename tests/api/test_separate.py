"""POST /apiv1/separate and what follows, through a real port."""

from __future__ import annotations

import base64
import io
import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import requests
from redis import Redis

from local import Service
from msas.job import compute_songhash
from msas.options import Options
from msas.store import Store
from msas_client import Client, Failed
from rest.app import create_app
from tests.support.audio import true_waves, write
from tests.support.processes import eventually
from tests.support.requests import as_json, new_song, problem
from tests.support.rig import stopped

Post = Callable[..., requests.Response]


def test_a_new_song_is_answered_with_its_hash_and_a_reason(post: Post, tmp_path: Path) -> None:
    song = new_song(tmp_path, 0.51)

    answer = post(json=as_json(song))

    assert answer.status_code == 200
    assert answer.json()["reason"] == "Song enqueued for separation"
    assert answer.json()["hash"] == compute_songhash(io.BytesIO(song), Options(model="lite"))


def test_a_song_that_was_separated_already_is_answered_with_the_same_hash(
    post: Post, tmp_path: Path, client: Client
) -> None:
    song = new_song(tmp_path, 0.52)
    first = post(json=as_json(song)).json()["hash"]
    client.wait(first, timeout=60)

    again = post(json=as_json(song))

    assert again.status_code == 200
    assert again.json()["hash"] == first
    assert again.json()["reason"] == "Song already separated"
    assert client.status(first).state == "succeeded"


def test_a_song_that_is_already_in_the_queue_is_answered_so(service: Service, post: Post, tmp_path: Path) -> None:
    body = as_json(new_song(tmp_path, 0.525))

    with stopped(service.children["worker"]):
        first, again = post(json=body).json(), post(json=body).json()

    assert again["reason"] == "Song already enqueued for separation"
    assert again["hash"] == first["hash"]


def test_another_model_gives_another_hash(service: Service, post: Post, tmp_path: Path) -> None:
    song = new_song(tmp_path, 0.53)
    with stopped(service.children["worker"]):
        lite = post(json=as_json(song, model="lite")).json()
        small = post(json=as_json(song, model="small")).json()

    assert lite["hash"] != small["hash"]
    assert lite["model"] == "lite"
    assert small["model"] == "small"


def test_a_song_sent_by_ten_clients_at_once_is_enqueued_and_separated_once(
    service: Service, post: Post, tmp_path: Path, client: Client
) -> None:
    body = as_json(new_song(tmp_path, 0.54))
    start = threading.Barrier(10)

    def send(_: int) -> dict[str, Any]:
        start.wait()
        answer: dict[str, Any] = post(json=body).json()
        return answer

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(send, range(10)))

    assert len({answer["hash"] for answer in answers}) == 1
    assert sum(answer["reason"] == "Song enqueued for separation" for answer in answers) == 1
    identity = answers[0]["hash"]
    client.wait(identity, timeout=60)
    eventually(lambda: "job succeeded" in events(service, identity))
    assert events(service, identity) == ["job claimed", "job succeeded"]


def events(service: Service, identity: str) -> list[str]:
    """Return what the worker logged about this song."""
    lines = map(json.loads, service.children["worker"].log.read_text().splitlines())
    return [line["event"] for line in lines if line.get("songhash") == identity]


def test_a_song_goes_to_the_store_and_never_through_redis(
    service: Service, post: Post, tmp_path: Path, redis: Redis
) -> None:
    song = new_song(tmp_path, 0.5501)
    encoded = base64.b64encode(song)[300:400]

    with stopped(service.children["worker"]):
        identity = post(json=as_json(song)).json()["hash"]
        content = b"".join(values(redis))

    assert identity.encode() in content
    assert encoded not in content
    assert song[300:400] not in content


def values(redis: Redis) -> Iterator[bytes]:
    """Yield all values of the lists and hashes in Redis."""
    for key in redis.scan_iter():
        kind = redis.type(key)
        if kind == b"list":
            yield from cast(list[bytes], redis.lrange(key, 0, -1))
        elif kind == b"hash":
            yield from cast(list[bytes], redis.hvals(key))


def test_base64_with_line_breaks_is_decoded(post: Post, tmp_path: Path) -> None:
    song = new_song(tmp_path, 0.55)

    plain, wrapped = post(json=as_json(song)), post(json={"mp3": base64.encodebytes(song).decode()})

    assert plain.json()["hash"] == wrapped.json()["hash"]


def test_the_labs_request_with_an_unreachable_callback_is_separated(post: Post, tmp_path: Path, client: Client) -> None:
    callback = {"url": "http://localhost:1", "data": {"mp3": "x.mp3", "data": "to be returned"}}

    answer = post(json=as_json(new_song(tmp_path, 0.56), callback=callback, model="lite"))

    assert answer.status_code == 200
    assert client.wait(answer.json()["hash"], timeout=60).state == "succeeded"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", (400, "not_json")),
        (b"mp3=abc", (400, "not_json")),
        (b'{"mp3": "AAAA"', (400, "not_json")),
        (b"[" * 100_000, (400, "not_json")),
        (b"\xff\xfe{}", (400, "not_json")),
        (b"null", (400, "not_json")),
        (b'["AAAA"]', (400, "not_json")),
        (b"{}", (400, "missing_song")),
        (b'{"mp3": null}', (400, "missing_song")),
        (b'{"mp3": 7}', (400, "bad_base64")),
        (b'{"mp3": "not base64!"}', (400, "bad_base64")),
        (b'{"mp3": "AAA"}', (400, "bad_base64")),
        ('{"mp3": "ÄÖÜ="}'.encode(), (400, "bad_base64")),
        (b'{"mp3": ""}', (422, "empty_song")),
        (b'{"mp3": "AAAA", "model": "nonesuch"}', (422, "bad_option")),
        (b'{"mp3": "AAAA", "model": ["lite"]}', (422, "bad_option")),
        (b'{"mp3": "AAAA", "format": "ogg"}', (422, "bad_option")),
        (b'{"mp3": "AAAA", "stems": ["piano"]}', (422, "bad_option")),
        (b'{"mp3": "AAAA", "callback": "http://localhost"}', (422, "bad_option")),
        (b'{"mp3": "AAAA", "callback": {"url": "file:///etc/passwd"}}', (422, "bad_option")),
        (b'{"mp3": "AAAA", "callback": {"url": "http://[::1"}}', (422, "bad_option")),
        (b'{"mp3": "AAAA", "callback": {"url": "http://a", "data": "%s"}}' % (b"x" * 70_000), (422, "bad_option")),
        (b'{"mp3": "AAAA"}', (415, "not_audio")),
    ],
)
def test_a_bad_request_gets_its_documented_answer(post: Post, body: bytes, expected: tuple[int, str]) -> None:
    assert problem(post(data=body, headers={"Content-Type": "application/json"})) == expected


def test_a_deeply_nested_callback_is_accepted_or_refused_with_a_problem(post: Post, tmp_path: Path) -> None:
    song = base64.b64encode(new_song(tmp_path, 0.59))
    refusals = ((400, "not_json"), (422, "bad_option"), (429, "too_many"))

    for depth in range(900, 1010, 5):
        data = b"[" * depth + b"]" * depth
        answer = post(data=b'{"mp3": "%s", "callback": {"url": "http://a", "data": %s}}' % (song, data))
        assert answer.status_code == 200 or problem(answer) in refusals


def test_default_options_given_explicitly_give_the_same_hash(post: Post, tmp_path: Path) -> None:
    song = new_song(tmp_path, 0.57)

    plain = post(json=as_json(song))
    explicit = post(json=as_json(song, model="lite", format="mp3", mp3_bitrate=320, shifts=0, overlap=0.25))

    assert explicit.json()["hash"] == plain.json()["hash"]


def test_a_body_over_the_limit_is_refused_unread_and_the_sender_sees_the_answer(post: Post) -> None:
    answer = post(data=b" " * 40_000_000, headers={"Content-Type": "application/json"})

    assert problem(answer) == (413, "too_large")
    assert "at most 20 MB" in answer.json()["detail"]


def test_a_chunked_body_over_the_limit_is_refused(post: Post) -> None:
    chunks = (b" " * 1_000_000 for _ in range(40))
    assert problem(post(data=chunks)) == (413, "too_large")


def test_a_chunked_body_that_breaks_the_rules_is_refused(service: Service) -> None:
    head = "POST /apiv1/separate HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    with socket.create_connection((service.settings.rest_host, service.settings.rest_port), 10) as connection:
        connection.sendall(head.encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 400 ")


def test_a_song_over_the_limit_is_refused_where_its_body_is_not(post: Post) -> None:
    assert problem(post(json=as_json(bytes(20_000_001)))) == (413, "too_large")


def test_a_refused_song_leaves_nothing_in_the_store_and_has_no_status(service: Service, post: Post) -> None:
    song = b"These are words, not music."
    identity = compute_songhash(io.BytesIO(song), Options(model="lite"))

    refused = post(json=as_json(song))

    assert problem(refused) == (415, "not_audio")
    store = Store.from_settings(service.settings)
    assert not list(store.minio.list_objects(service.settings.bucket_in, prefix=identity))
    assert problem(requests.get(f"{service.url}/apiv1/status/{identity}", timeout=10)) == (404, "unknown_song")


def test_the_status_of_a_succeeded_job_is_complete(
    service: Service, post: Post, tmp_path: Path, client: Client
) -> None:
    identity = post(json=as_json(new_song(tmp_path, 0.58), name="dir/My Song.wav")).json()["hash"]
    client.wait(identity, timeout=60)

    status = requests.get(f"{service.url}/apiv1/status/{identity}/", timeout=10).json()

    expected = {"status": "succeeded", "progress": 1.0, "attempt": 1, "model": "lite", "name": "My Song.wav"}
    assert {name: status[name] for name in expected} == expected
    assert status["error"] is None
    assert status["enqueued_at"] <= status["started_at"] <= status["ended_at"]
    assert [track["name"] for track in status["tracks"]] == ["vocals", "drums", "bass", "other"]
    sizes = [len(requests.get(service.url + track["url"], timeout=10).content) for track in status["tracks"]]
    assert [track["bytes"] for track in status["tracks"]] == sizes
    assert {track["seconds"] for track in status["tracks"]} == {0.58}


def progress_of(client: Client, identity: str) -> list[float]:
    """Wait for the job's end; return each share of its progress that its status told."""
    shares: list[float] = []
    client.wait(identity, timeout=300, on_progress=lambda status: shares.append(status.progress))
    return shares


def test_progress_grows_while_a_song_is_separated(client: Client, tmp_path: Path) -> None:
    """Workers tell their progress every half second, so the faster the machine is, the longer the song must be."""
    for repetitions in (2, 4, 8, 16, 32):
        mixture = np.tile(true_waves()["mixture"], repetitions)
        song = write(tmp_path / "long.mp3", mixture, codec="libmp3lame")
        shares = progress_of(client, client.separate(song, model="small").songhash)
        assert shares == sorted(shares)
        assert shares[-1] == 1.0
        if any(0.03 < share < 0.9 for share in shares):
            return
    pytest.fail("no progress was told before the end")


@pytest.mark.parametrize("path", ["/apiv1/queue", "/apiv1/queue/", "/", "/apiv1/models"])
def test_a_get_with_a_json_body_of_null_is_answered(service: Service, path: str) -> None:
    answer = requests.get(service.url + path, data="null", headers={"Content-type": "application/json"}, timeout=10)
    assert answer.status_code == 200
    if "queue" in path:
        assert isinstance(answer.json()["queue"], list)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/apiv1/status/abc", (404, "unknown_song")),
        ("GET", f"/apiv1/status/{'0' * 56}", (404, "unknown_song")),
        ("GET", f"/apiv1/track/{'0' * 56}/vocals", (404, "unknown_song")),
        ("GET", "/apiv1/track/..%2f..%2fetc/passwd", (404, "not_found")),
        ("DELETE", f"/apiv1/remove/{'0' * 56}", (404, "unknown_song")),
        ("GET", "/apiv1/nonesuch", (404, "not_found")),
        ("GET", "/apiv1/separate", (405, "method_not_allowed")),
        ("POST", "/apiv1/queue", (405, "method_not_allowed")),
    ],
)
def test_an_unknown_song_route_or_method_is_refused(
    service: Service, method: str, path: str, expected: tuple[int, str]
) -> None:
    assert problem(requests.request(method, service.url + path, timeout=10)) == expected


def test_the_front_page_and_the_probes_answer(service: Service) -> None:
    for path in ("/", "/healthz", "/readyz"):
        assert requests.get(service.url + path, timeout=10).status_code == 200


def test_readyz_makes_no_buckets(service: Service) -> None:
    settings = replace(service.settings, bucket_in="not-yet-in", bucket_out="not-yet-out")

    answer = create_app(settings).test_client().get("/readyz")

    assert answer.status_code == 200
    assert Store.from_settings(settings).missing_buckets() == ["not-yet-in", "not-yet-out"]


@pytest.fixture
def failed(service: Service, post: Post, client: Client, tmp_path: Path) -> str:
    """The songhash of a job that failed, whose song is in the store."""
    song = new_song(tmp_path, 0.4543)
    store = Store.from_settings(service.settings)
    with stopped(service.children["worker"]):
        identity: str = post(json=as_json(song)).json()["hash"]
        store.minio.remove_object(service.settings.bucket_in, identity)
    with pytest.raises(Failed, match="no longer in the store"):
        client.wait(identity, timeout=60)
    store.put_song(identity, io.BytesIO(song), len(song))
    return identity


def test_a_song_that_failed_is_separated_anew_without_being_sent_again(
    service: Service, client: Client, failed: str
) -> None:
    answer = requests.post(f"{service.url}/apiv1/retry/{failed}", timeout=10)

    assert answer.status_code == 200
    assert answer.json()["hash"] == failed
    assert answer.json()["reason"] == "Song enqueued for separation"
    assert client.wait(failed, timeout=60).state == "succeeded"


def test_a_song_that_failed_has_no_stems_and_says_why(service: Service, failed: str) -> None:
    answer = requests.get(f"{service.url}/apiv1/track/{failed}/vocals", timeout=10)

    assert problem(answer) == (409, "not_ready")
    assert "no longer in the store" in answer.json()["detail"]


def test_a_song_that_failed_is_separated_anew_when_it_is_sent_again(
    post: Post, client: Client, tmp_path: Path, failed: str
) -> None:
    again = post(json=as_json((tmp_path / "new.wav").read_bytes()))

    assert again.json()["hash"] == failed
    assert again.json()["reason"] == "Song enqueued for separation"
    assert client.wait(failed, timeout=60).state == "succeeded"


def test_a_song_that_succeeded_is_not_separated_anew(
    service: Service, client: Client, post: Post, tmp_path: Path
) -> None:
    identity = post(json=as_json(new_song(tmp_path, 0.4547))).json()["hash"]
    client.wait(identity, timeout=60)

    answer = requests.post(f"{service.url}/apiv1/retry/{identity}", timeout=10)

    assert problem(answer) == (409, "not_failed")


def test_an_unknown_song_is_not_separated_anew(service: Service) -> None:
    answer = requests.post(f"{service.url}/apiv1/retry/{'0' * 56}", timeout=10)

    assert problem(answer) == (404, "unknown_song")


def test_a_failed_song_that_is_gone_from_the_store_must_be_sent_again(service: Service, failed: str) -> None:
    Store.from_settings(service.settings).remove_song(failed)

    answer = requests.post(f"{service.url}/apiv1/retry/{failed}", timeout=10)

    assert problem(answer) == (404, "song_missing")
