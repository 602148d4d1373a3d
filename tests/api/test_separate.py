"""POST /apiv1/separate and what follows, through a real port."""

from __future__ import annotations

import base64
import io
import json
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from redis import Redis

from local import Service
from msas.job import songhash
from msas.options import Options
from msas.store import Store
from msas_client import Client, Failed
from tests.support.audio import RATE, true_waves, write
from tests.support.processes import eventually
from tests.support.requests import as_json, new_song, problem
from tests.support.rig import stopped

Post = Callable[..., requests.Response]


def test_the_answer_is_200_with_the_hash_and_a_reason(post: Post, tmp_path: Path, client: Client) -> None:
    song = new_song(tmp_path, 0.51)
    answer = post(json=as_json(song))
    assert answer.status_code == 200
    assert answer.json()["reason"] == "Song enqueued for separation"
    assert answer.json()["hash"] == songhash(io.BytesIO(song), Options(model="lite"))
    client.wait(answer.json()["hash"], timeout=60)


def test_posting_again_gives_the_same_hash_and_says_so(post: Post, tmp_path: Path, client: Client) -> None:
    song = new_song(tmp_path, 0.52)
    first = post(json=as_json(song)).json()
    client.wait(first["hash"], timeout=60)
    again = post(json=as_json(song))
    assert (again.status_code, again.json()["hash"]) == (200, first["hash"])
    assert again.json()["reason"] == "Song already separated"
    assert client.status(first["hash"]).state == "succeeded"


def test_another_model_gives_another_hash(post: Post, tmp_path: Path, client: Client) -> None:
    song = new_song(tmp_path, 0.53)
    hashes = {post(json=as_json(song, model=model)).json()["hash"] for model in ("lite", "small")}
    assert len(hashes) == 2
    for each in hashes:
        client.wait(each, timeout=60)


def test_ten_clients_posting_one_song_at_once_get_one_hash_and_one_separation(
    service: Service, tmp_path: Path, client: Client
) -> None:
    body = as_json(new_song(tmp_path, 0.54))
    start = threading.Barrier(10)

    def send(_: int) -> dict[str, Any]:
        start.wait()
        answer: dict[str, Any] = requests.post(f"{service.url}/apiv1/separate", json=body, timeout=60).json()
        return answer

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(send, range(10)))
    [only] = {answer["hash"] for answer in answers}
    assert sum(answer["reason"] == "Song enqueued for separation" for answer in answers) == 1
    client.wait(only, timeout=60)

    def told() -> list[str]:
        worker_log = (service.children["worker"].log).read_text().splitlines()
        return [line["event"] for line in map(json.loads, worker_log) if line.get("songhash") == only]

    eventually(lambda: "job succeeded" in told())
    assert told() == ["job claimed", "job succeeded"]


def test_the_song_goes_to_the_store_and_never_through_redis(
    post: Post, tmp_path: Path, redis: Redis, client: Client
) -> None:
    song = new_song(tmp_path, 3)
    encoded = base64.b64encode(song)[:200]
    identity = post(json=as_json(song)).json()["hash"]
    for key in redis.scan_iter():
        if redis.type(key) in (b"list", b"hash"):
            assert encoded not in (redis.dump(key) or b"")
    client.wait(identity, timeout=60)


def test_base64_with_line_breaks_is_taken(post: Post, tmp_path: Path) -> None:
    song = new_song(tmp_path, 0.55)
    plain, wrapped = post(json=as_json(song)), post(json={"mp3": base64.encodebytes(song).decode()})
    assert plain.json()["hash"] == wrapped.json()["hash"]


def test_the_labs_request_with_a_callback_to_nowhere_is_taken(post: Post, tmp_path: Path, client: Client) -> None:
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


# The last: so many callers of one song are told of its end, and no more.
REFUSALS = ((400, "not_json"), (422, "bad_option"), (429, "too_many"))


def test_a_callback_nested_however_deep_is_taken_or_refused_but_never_breaks_us(post: Post, tmp_path: Path) -> None:
    song = base64.b64encode(new_song(tmp_path, 0.59))
    for depth in range(900, 1010, 3):
        data = b"[" * depth + b"]" * depth
        answer = post(data=b'{"mp3": "%s", "callback": {"url": "http://a", "data": %s}}' % (song, data))
        assert answer.status_code == 200 or problem(answer) in REFUSALS


def test_options_at_the_value_that_is_served_are_taken(post: Post, tmp_path: Path) -> None:
    song = new_song(tmp_path, 0.57)
    plain = post(json=as_json(song)).json()["hash"]
    explicit = post(json=as_json(song, model="lite", format="mp3", mp3_bitrate=320, shifts=0, overlap=0.25))
    assert explicit.json()["hash"] == plain


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


def test_a_song_over_the_limit_is_refused_although_its_body_is_not(post: Post) -> None:
    assert problem(post(json=as_json(bytes(20_000_001)))) == (413, "too_large")


def test_nothing_is_left_behind_by_a_refused_song(service: Service, post: Post) -> None:
    song = b"These are words, not music."
    assert post(json=as_json(song)).status_code == 415
    store = Store.from_settings(service.settings)
    identity = songhash(io.BytesIO(song), Options(model="lite"))
    assert not list(store.minio.list_objects(service.settings.bucket_in, prefix=identity))
    assert problem(requests.get(f"{service.url}/apiv1/status/{identity}", timeout=10)) == (404, "unknown_song")


def test_status_tells_the_whole_story_of_a_job(service: Service, post: Post, tmp_path: Path, client: Client) -> None:
    identity = post(json=as_json(new_song(tmp_path, 0.58), name="dir/My Song.wav")).json()["hash"]
    seen: list[str] = []
    client.wait(identity, timeout=60, on_progress=lambda status: seen.append(status.state))
    status = requests.get(f"{service.url}/apiv1/status/{identity}/", timeout=10).json()
    assert set(seen) <= {"queued", "running", "succeeded"}
    assert (status["status"], status["progress"], status["attempt"]) == ("succeeded", 1.0, 1)
    assert (status["model"], status["name"], status["error"]) == ("lite", "My Song.wav", None)
    assert status["enqueued_at"] <= status["started_at"] <= status["ended_at"]
    assert [track["name"] for track in status["tracks"]] == ["vocals", "drums", "bass", "other"]
    for track in status["tracks"]:
        download = requests.get(service.url + track["url"], timeout=10)
        assert (len(download.content), track["seconds"]) == (track["bytes"], 0.58)


def test_progress_grows_segment_by_segment(client: Client, tmp_path: Path) -> None:
    song = write(tmp_path / "long.mp3", np.tile(true_waves()["mixture"], 4), codec="libmp3lame")
    shares: list[float] = []
    identity = client.separate(song, model="small").songhash
    client.wait(identity, timeout=120, on_progress=lambda status: shares.append(status.progress))
    inner = {share for share in shares if 0.03 < share < 0.9}
    assert len(inner) >= 3
    assert shares == sorted(shares)


@pytest.mark.parametrize("path", ["/apiv1/queue", "/apiv1/queue/", "/", "/apiv1/models"])
def test_gets_of_existing_clients_with_a_json_body_of_null_work(service: Service, path: str) -> None:
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
def test_what_is_not_there_is_said_to_be_missing(
    service: Service, method: str, path: str, expected: tuple[int, str]
) -> None:
    assert problem(requests.request(method, service.url + path, timeout=10)) == expected


def test_the_front_page_and_the_probes_answer(service: Service) -> None:
    for path in ("/", "/healthz", "/readyz"):
        assert requests.get(service.url + path, timeout=10).status_code == 200


def test_a_song_that_failed_is_separated_anew_without_being_sent_again(
    service: Service, client: Client, tmp_path: Path
) -> None:
    song = write(tmp_path / "s.wav", true_waves()["mixture"][:, RATE : RATE + 20_011]).read_bytes()
    store = Store.from_settings(service.settings)
    with stopped(service.children["worker"]):
        identity = client.separate(tmp_path / "s.wav").songhash
        store.minio.remove_object(service.settings.bucket_in, identity)
    with pytest.raises(Failed, match="no longer in the store"):
        client.wait(identity, timeout=60)
    store.put_song(identity, io.BytesIO(song), len(song))
    answer = requests.post(f"{service.url}/apiv1/retry/{identity}", timeout=10)
    assert (answer.status_code, answer.json()["hash"]) == (200, identity)
    assert client.wait(identity, timeout=60).state == "succeeded"


def test_only_a_song_that_failed_is_tried_again(service: Service, client: Client, song: Path) -> None:
    identity = client.separate(song, wait=True).songhash
    assert problem(requests.post(f"{service.url}/apiv1/retry/{identity}", timeout=10)) == (409, "not_failed")
    assert problem(requests.post(f"{service.url}/apiv1/retry/{'0' * 56}", timeout=10)) == (404, "unknown_song")
