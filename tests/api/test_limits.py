"""Limits of the queue: how many jobs may wait, and how many of them for one key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
import requests

from local import Service
from msas.queue import Receiver, connect
from msas.queue.connection import connect_blocking
from msas.settings import Settings
from tests.queue.fixtures import ERROR, report, taken
from tests.support.another_rest import remove_queued, rest_with_own_queue
from tests.support.requests import ALICE, API_KEYS, BOB, problem
from tests.support.rig import new_song


def send(url: str, song: bytes | None = None, key: Mapping[str, str] | None = None) -> requests.Response:
    headers = {"Content-Type": "audio/wav", **(key or {})}
    return requests.post(f"{url}/apiv1/separate", data=song or new_song(), headers=headers, timeout=60)


def remove(url: str, songhash: str, key: Mapping[str, str] | None = None) -> None:
    requests.delete(f"{url}/apiv1/remove/{songhash}", headers=key, timeout=60).raise_for_status()


def receiver_of(settings: Settings) -> Receiver:
    """Return what a worker takes jobs with."""
    return Receiver(connect(settings), connect_blocking(settings), settings)


@pytest.fixture(scope="module")
def small_rest(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Settings]]:
    with rest_with_own_queue(service, tmp_path_factory.mktemp("small"), MAX_QUEUE="2") as found:
        yield found


@pytest.fixture(scope="module")
def shared_rest(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Settings]]:
    folder = tmp_path_factory.mktemp("shared")
    with rest_with_own_queue(service, folder, API_KEYS=API_KEYS, MAX_QUEUE_PER_KEY="2") as found:
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
    remove_queued(url, ALICE)


def test_a_job_beyond_max_queue_is_refused_with_retry_after(room_for_two: str) -> None:
    accepted = [send(room_for_two) for _ in range(2)]

    refused = send(room_for_two)

    assert [answer.status_code for answer in accepted] == [200, 200]
    assert problem(refused) == (503, "queue_full")
    assert int(refused.headers["Retry-After"]) > 0


def test_a_full_queue_answers_for_a_song_that_it_holds(room_for_two: str) -> None:
    song = new_song()
    known = send(room_for_two, song)
    send(room_for_two)

    again = send(room_for_two, song)

    assert again.status_code == 200
    assert again.json()["hash"] == known.json()["hash"]


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

    lease = taken(receiver_of(small_rest[1]))
    answer = send(room_for_two)
    lease.release()

    assert lease.job.songhash == first
    assert answer.status_code == 200


def test_a_failed_job_is_not_retried_while_the_queue_is_full(
    small_rest: tuple[str, Settings], room_for_two: str
) -> None:
    song = new_song()
    failed = send(room_for_two, song).json()["hash"]
    taken(receiver_of(small_rest[1])).fail(ERROR)
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


def test_a_key_with_a_full_share_is_answered_for_a_song_that_it_sent(two_for_each_key: str) -> None:
    song = new_song()
    known = send(two_for_each_key, song, BOB)
    send(two_for_each_key, key=BOB)

    again = send(two_for_each_key, song, BOB)

    assert again.status_code == 200
    assert again.json()["hash"] == known.json()["hash"]


def test_a_running_job_counts_for_its_key_until_it_has_ended(
    shared_rest: tuple[str, Settings], two_for_each_key: str
) -> None:
    first = send(two_for_each_key, key=BOB).json()["hash"]
    send(two_for_each_key, key=BOB)
    lease = taken(receiver_of(shared_rest[1]))

    while_running = send(two_for_each_key, key=BOB)
    lease.succeed({**report(), "hash": first})
    after_its_end = send(two_for_each_key, key=BOB)
    remove(two_for_each_key, first, BOB)

    assert problem(while_running) == (429, "too_many")
    assert after_its_end.status_code == 200


def test_a_retried_job_counts_for_the_key_that_retried_it(
    shared_rest: tuple[str, Settings], two_for_each_key: str
) -> None:
    failed = send(two_for_each_key, key=BOB).json()["hash"]
    taken(receiver_of(shared_rest[1])).fail(ERROR)

    requests.post(f"{two_for_each_key}/apiv1/retry/{failed}", headers=ALICE, timeout=60).raise_for_status()

    of_alice = [send(two_for_each_key, key=ALICE).status_code for _ in range(2)]
    of_bob = [send(two_for_each_key, key=BOB).status_code for _ in range(2)]
    assert of_alice == [200, 429]
    assert of_bob == [200, 200]
