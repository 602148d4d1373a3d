"""How many bytes of callbacks may wait for one caller; beyond, songs with a callback are refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from local import Service
from msas.job import Job
from msas.options import Options
from msas.queue import Queue
from tests.support.another_rest import rest_with_own_queue
from tests.support.requests import ALICE, API_KEYS, BOB, as_json, new_song, problem

MOST_BYTES = 16_000_000
LARGE = "x" * 60_000  # bytes of a callback's data; a song may have four of these


@pytest.fixture(scope="module")
def rest(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Queue]]:
    """A REST whose queue no worker serves."""
    with rest_with_own_queue(service, tmp_path_factory.mktemp("rest"), API_KEYS=API_KEYS) as (url, settings):
        yield url, Queue.from_settings(settings)


@pytest.fixture
def full_rest(rest: tuple[str, Queue]) -> tuple[str, Queue]:
    """A REST in which the callbacks of alice take up all that they may."""
    for number in range(MOST_BYTES // len(LARGE) + 1):
        job = Job(f"{number // 4:056x}", Options("lite"), owner="alice")
        rest[1].enqueue(replace(job, callback={"url": f"http://a.test/{number}", "data": LARGE}))
    return rest


def send(url: str, song: bytes, key: Mapping[str, str], *, callback: bool = True) -> requests.Response:
    fields = {"callback": {"url": "http://a.test/"}} if callback else {}
    return requests.post(f"{url}/apiv1/separate", json=as_json(song, **fields), headers=key, timeout=60)


def test_a_song_with_a_callback_is_refused_and_not_enqueued_when_its_callers_callbacks_take_up_16_mb(
    full_rest: tuple[str, Queue], tmp_path: Path
) -> None:
    url, queue = full_rest
    waiting = queue.list_all_jobs()

    refused = send(url, new_song(tmp_path, 0.6043), ALICE)

    assert problem(refused) == (429, "too_many")
    assert int(refused.headers["Retry-After"]) > 0
    assert queue.list_all_jobs() == waiting


def test_a_song_without_a_callback_and_another_callers_are_accepted_when_one_callers_callbacks_take_up_16_mb(
    full_rest: tuple[str, Queue], tmp_path: Path
) -> None:
    url, _ = full_rest
    song = new_song(tmp_path, 0.6047)

    assert send(url, song, ALICE, callback=False).status_code == 200
    assert problem(send(url, song, ALICE)) == (429, "too_many")
    assert send(url, song, BOB).status_code == 200


def test_a_song_with_a_callback_is_accepted_once_a_song_of_the_caller_with_callbacks_is_removed(
    full_rest: tuple[str, Queue], tmp_path: Path
) -> None:
    url, _ = full_rest
    song = new_song(tmp_path, 0.6053)
    assert problem(send(url, song, ALICE)) == (429, "too_many")

    for number in range(2):
        requests.delete(f"{url}/apiv1/remove/{number:056x}", headers=ALICE, timeout=60).raise_for_status()

    assert send(url, song, ALICE).status_code == 200
