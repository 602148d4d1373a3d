"""Limits of the queue: how many jobs may wait, and how many of them for one key."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from redis import Redis

from local import Service
from msas.queue import Consumer, connect
from msas.queue.connection import connect_blocking
from msas.settings import Settings
from rest.app import create_app
from tests.queue.fixtures import ERROR, claim_job
from tests.support.another_rest import another_rest, remove_queued, rest_with_own_queue
from tests.support.processes import eventually
from tests.support.requests import ALICE, API_KEYS, BOB, EVE, problem
from tests.support.rig import new_song


def send(url: str, song: bytes | None = None, key: Mapping[str, str] | None = None) -> requests.Response:
    headers = {"Content-Type": "audio/wav", **(key or {})}
    return requests.post(f"{url}/apiv1/separate", data=song or new_song(), headers=headers, timeout=60)


def announce(url: str, query: str = "", key: Mapping[str, str] | None = None) -> bytes:
    """Announce a song, send nothing of it, and return the beginning of the answer."""
    headers = {"Host": "x", "Content-Type": "audio/wav", "Content-Length": "1000000", **(key or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), 60) as connection:
        connection.sendall(f"POST /apiv1/separate{query} HTTP/1.1\r\n{head}\r\n".encode())
        return connection.recv(100)


def remove(url: str, songhash: str, key: Mapping[str, str] | None = None) -> None:
    requests.delete(f"{url}/apiv1/remove/{songhash}", headers=key, timeout=60).raise_for_status()


def make_consumer(settings: Settings) -> Consumer:
    """Return what a worker takes jobs with."""
    return Consumer(connect(settings), connect_blocking(settings), settings)


@pytest.fixture(scope="module")
def small_rest(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Settings]]:
    with rest_with_own_queue(service, tmp_path_factory.mktemp("small"), MAX_QUEUE="2") as found:
        yield found


@pytest.fixture(scope="module")
def shared_rest(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Settings]]:
    folder = tmp_path_factory.mktemp("shared")
    with rest_with_own_queue(service, folder, API_KEYS=API_KEYS, ADMIN_KEYS="eve", MAX_QUEUE_PER_KEY="2") as found:
        yield found


@pytest.fixture
def room_for_two(small_rest: tuple[str, Settings]) -> Iterator[str]:
    """A REST with an empty queue that takes two jobs, and that no worker serves."""
    url, _ = small_rest
    yield url
    remove_queued(url)


@pytest.fixture
def two_for_each_key(shared_rest: tuple[str, Settings]) -> Iterator[str]:
    """A REST with an empty queue that takes two jobs of each key, and that no worker serves."""
    url, _ = shared_rest
    yield url
    remove_queued(url, EVE)


def test_songs_are_refused_before_their_body_once_redis_uses_80_percent_of_its_memory(
    small_rest: tuple[str, Settings], redis: Redis
) -> None:
    url, _ = small_rest

    def is_refused() -> bool:
        used = redis.info("memory")["used_memory"]  # which goes up and down by itself
        redis.config_set("maxmemory", round(used / 0.9))
        return b" 503 " in announce(url, "?model=unknown")  # REST looks at Redis every 2 s; else it answers 422

    try:
        eventually(is_refused, 10)
        announced = announce(url)
        refused = send(url)
        other = requests.get(f"{url}/apiv1/queue", timeout=60)
    finally:
        redis.config_set("maxmemory", 0)

    assert b" 503 " in announced
    assert problem(refused) == (503, "queue_full")
    assert "maxmemory" in refused.json()["detail"]
    assert other.status_code == 200
    eventually(lambda: b" 503 " not in announce(url, "?model=unknown"), 10)


def test_a_job_beyond_max_queue_is_refused_with_retry_after(room_for_two: str) -> None:
    accepted = [send(room_for_two) for _ in range(2)]

    refused = send(room_for_two)

    assert [answer.status_code for answer in accepted] == [200, 200]
    assert problem(refused) == (503, "queue_full")
    assert int(refused.headers["Retry-After"]) > 0


def test_a_full_queue_refuses_a_song_before_it_is_sent(room_for_two: str) -> None:
    send(room_for_two)
    send(room_for_two)

    assert announce(room_for_two).startswith(b"HTTP/1.1 503 ")


def test_an_option_in_the_query_that_cannot_be_honoured_is_refused_before_the_song_is_sent(room_for_two: str) -> None:
    assert announce(room_for_two, query="?shifts=99").startswith(b"HTTP/1.1 422 ")


def test_a_song_is_refused_before_it_is_sent_where_no_worker_has_come_up(service: Service, tmp_path: Path) -> None:
    with another_rest(service, tmp_path, WORK_QUEUE=f"nobody-{secrets.token_hex(4)}") as url:
        assert announce(url).startswith(b"HTTP/1.1 503 ")


def test_a_song_is_accepted_with_three_calls_to_redis(
    small_rest: tuple[str, Settings], room_for_two: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, calls = create_app(small_rest[1]), list[str]()
    client = app.test_client()
    execute = Redis.execute_command

    def counted(self: Redis, *arguments: Any, **options: Any) -> Any:
        calls.append(str(arguments[0]))
        return execute(self, *arguments, **options)  # type: ignore[no-untyped-call]

    def post() -> int:
        return client.post("/apiv1/separate", data=new_song(), content_type="audio/wav").status_code

    assert post() == 200  # from now on Redis knows the scripts
    monkeypatch.setattr(Redis, "execute_command", counted)
    assert post() == 200

    app.extensions["msas"].probe_pool.close()
    assert len(calls) == 3, calls
    remove_queued(room_for_two)


def test_a_full_queue_takes_a_song_once_another_was_removed(room_for_two: str) -> None:
    first = send(room_for_two).json()["hash"]
    send(room_for_two)
    assert problem(send(room_for_two)) == (503, "queue_full")

    remove(room_for_two, first)

    assert send(room_for_two).status_code == 200


def test_the_models_say_whether_the_queue_has_room(room_for_two: str) -> None:
    def has_room() -> bool:
        found: bool = requests.get(f"{room_for_two}/apiv1/models", timeout=60).json()["room"]
        return found

    first = send(room_for_two).json()["hash"]
    with_one = has_room()
    send(room_for_two)
    full = has_room()
    remove(room_for_two, first)

    assert [with_one, full, has_room()] == [True, False, True]


def test_a_full_queue_takes_a_song_once_a_worker_took_one(small_rest: tuple[str, Settings], room_for_two: str) -> None:
    first = send(room_for_two).json()["hash"]
    send(room_for_two)

    lease = claim_job(make_consumer(small_rest[1]))
    answer = send(room_for_two)
    lease.release()

    assert lease.job.songhash == first
    assert answer.status_code == 200


def test_a_failed_job_is_not_retried_while_the_queue_is_full(
    small_rest: tuple[str, Settings], room_for_two: str
) -> None:
    song = new_song()
    failed = send(room_for_two, song).json()["hash"]
    claim_job(make_consumer(small_rest[1])).fail(ERROR)
    for _ in range(2):
        send(room_for_two)

    retried = requests.post(f"{room_for_two}/apiv1/retry/{failed}", timeout=60)
    sent_again = send(room_for_two, song)
    remove(room_for_two, failed)

    assert problem(retried) == (503, "queue_full")
    assert problem(sent_again) == (503, "queue_full")


def test_a_job_beyond_a_keys_share_is_refused_with_retry_after(two_for_each_key: str) -> None:
    accepted = [send(two_for_each_key, key=BOB) for _ in range(2)]

    refused = send(two_for_each_key, key=BOB)

    assert [answer.status_code for answer in accepted] == [200, 200]
    assert problem(refused) == (429, "too_many")
    assert int(refused.headers["Retry-After"]) > 0


def test_jobs_of_one_key_do_not_count_for_another(two_for_each_key: str) -> None:
    for _ in range(2):
        send(two_for_each_key, key=BOB)

    assert send(two_for_each_key, key=ALICE).status_code == 200


def test_a_key_may_send_again_once_a_job_of_its_own_was_removed(two_for_each_key: str) -> None:
    first = send(two_for_each_key, key=BOB).json()["hash"]
    send(two_for_each_key, key=BOB)
    assert problem(send(two_for_each_key, key=BOB)) == (429, "too_many")

    remove(two_for_each_key, first, BOB)

    assert send(two_for_each_key, key=BOB).status_code == 200


def test_a_key_with_a_full_share_is_refused_before_it_sends_a_song(two_for_each_key: str) -> None:
    send(two_for_each_key, key=BOB)
    send(two_for_each_key, key=BOB)

    assert announce(two_for_each_key, key=BOB).startswith(b"HTTP/1.1 429 ")
    assert send(two_for_each_key, key=ALICE).status_code == 200


def test_a_running_job_counts_for_its_key_until_it_has_ended(
    shared_rest: tuple[str, Settings], two_for_each_key: str
) -> None:
    first = send(two_for_each_key, key=BOB).json()["hash"]
    send(two_for_each_key, key=BOB)
    lease = claim_job(make_consumer(shared_rest[1]))

    while_running = send(two_for_each_key, key=BOB)
    lease.succeed()
    after_its_end = send(two_for_each_key, key=BOB)
    remove(two_for_each_key, first, BOB)

    assert problem(while_running) == (429, "too_many")
    assert after_its_end.status_code == 200


def test_a_retried_job_counts_for_the_key_that_retried_it(
    shared_rest: tuple[str, Settings], two_for_each_key: str
) -> None:
    failed = send(two_for_each_key, key=BOB).json()["hash"]
    claim_job(make_consumer(shared_rest[1])).fail(ERROR)

    requests.post(f"{two_for_each_key}/apiv1/retry/{failed}", headers=EVE, timeout=60).raise_for_status()

    of_eve = [send(two_for_each_key, key=EVE).status_code for _ in range(2)]
    of_bob = [send(two_for_each_key, key=BOB).status_code for _ in range(2)]
    assert of_eve == [200, 429]
    assert of_bob == [200, 200]
