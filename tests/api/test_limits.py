"""Limits of the queue: how many jobs may wait, and how many of them for one key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import requests

from local import Service
from tests.support.another_rest import rest_without_workers
from tests.support.requests import ALICE, API_KEYS, BOB, problem
from tests.support.rig import new_song


def send(url: str, song: bytes | None = None, key: Mapping[str, str] | None = None) -> requests.Response:
    headers = {"Content-Type": "audio/wav", **(key or {})}
    return requests.post(f"{url}/apiv1/separate", data=song or new_song(), headers=headers, timeout=60)


def remove(url: str, songhash: str, key: Mapping[str, str] | None = None) -> None:
    requests.delete(f"{url}/apiv1/remove/{songhash}", headers=key, timeout=60).raise_for_status()


@pytest.fixture
def room_for_two(service: Service, tmp_path: Path) -> Iterator[str]:
    """A REST whose queue takes two jobs, and that no worker serves."""
    with rest_without_workers(service, tmp_path, MAX_QUEUE="2") as url:
        yield url


@pytest.fixture
def two_for_each_key(service: Service, tmp_path: Path) -> Iterator[str]:
    """A REST that takes two jobs of each key, and that no worker serves."""
    with rest_without_workers(service, tmp_path, ALICE, API_KEYS=API_KEYS, MAX_QUEUE_PER_KEY="2") as url:
        yield url


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
