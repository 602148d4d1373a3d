"""What Redis does not keep, or forgot, of songs that are done: the report in the store tells it."""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import requests

from local import Service
from local.servers import free_ports
from msas.errors import StoreUnavailable
from msas.queue import Queue
from msas.report import Report
from msas.store import Store
from msas_client import Client
from rest.job_reader import Results
from tests.support.audio import RATE, true_waves, write


@pytest.fixture
def queue(service: Service) -> Queue:
    return Queue.from_settings(service.settings)


@pytest.fixture
def store(service: Service) -> Store:
    return Store.from_settings(service.settings)


@pytest.fixture
def done(client: Client, tmp_path: Path) -> str:
    """A song that is separated."""
    wave = true_waves()["mixture"][:, : RATE * 2] * secrets.SystemRandom().uniform(0.5, 0.9)
    return client.separate(write(tmp_path / "done.wav", wave), wait=True).songhash


def get(service: Service, songhash: str) -> Any:
    answer = requests.get(f"{service.url}/apiv1/status/{songhash}", timeout=30)
    return answer.json() if answer.ok else answer.status_code


def forget(queue: Queue, *songhashes: str) -> None:
    """Let Redis forget jobs, as one that lost everything."""
    for songhash in songhashes:
        assert queue.redis.delete(queue.job_key(songhash))
        queue.redis.zrem(f"{queue.prefix}ended", songhash)


def test_redis_keeps_a_few_facts_of_a_finished_job_and_rest_tells_all(
    service: Service, queue: Queue, store: Store, done: str
) -> None:
    kept = cast(dict[bytes, bytes], queue.redis.hgetall(queue.job_key(done)))
    told = get(service, done)

    assert b" ".join(sorted(kept)) == b"attempt ended_at enqueued_at settled started_at status"
    report = store.report(done)
    assert report
    assert told["report"] == report.to_json()
    assert [track["name"] for track in told["tracks"]] == list(told["report"]["stems"])
    assert (told["name"], told["model"], told["options"]) == ("done.wav", "lite", told["report"]["options"])
    assert told["seconds"] == pytest.approx(2, abs=0.1)


def test_a_song_that_redis_forgot_is_found_at_the_first_call(service: Service, queue: Queue, done: str) -> None:
    before = get(service, done)
    forget(queue, done)

    after = get(service, done)

    same = ("status", "report", "tracks", "mixture", "name", "model", "options")
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    url = service.url + after["tracks"][0]["url"]
    assert len(requests.get(url, timeout=30).content) == after["tracks"][0]["bytes"]


def test_many_songs_that_redis_forgot_are_found_in_one_call(service: Service, queue: Queue, done: str) -> None:
    unknown = [secrets.token_hex(28) for _ in range(20)]
    forget(queue, done)

    answer = requests.post(f"{service.url}/apiv1/status", json={"songs": [*unknown, done]}, timeout=30).json()

    assert [song["hash"] for song in answer["songs"]] == [done]
    assert answer["songs"][0]["tracks"]
    assert sorted(answer["unknown"]) == sorted(unknown)


def test_a_song_that_was_removed_stays_unknown_whatever_a_late_worker_stored(
    service: Service, store: Store, done: str
) -> None:
    report = store.report(done)
    assert report
    requests.delete(f"{service.url}/apiv1/remove/{done}", timeout=30).raise_for_status()

    store.put_report(replace(report, stems=()))

    assert get(service, done) == 404


class CountingStore(Store):
    """Counts how often each report is read."""

    reads: Counter[str]

    def report(self, songhash: str) -> Report | None:
        self.reads[songhash] += 1
        return super().report(songhash)


@pytest.fixture
def counting(service: Service) -> CountingStore:
    store = CountingStore.from_settings(service.settings)
    store.reads = Counter()
    return store


def test_a_report_is_read_once_until_a_stem_is_removed(
    service: Service, queue: Queue, counting: CountingStore, done: str
) -> None:
    results = Results(queue, counting)
    for _ in range(3):
        assert results.job(done)
    assert counting.reads[done] == 1

    requests.delete(f"{service.url}/apiv1/remove/{done}/vocals", timeout=30).raise_for_status()

    told = results.job(done)
    assert told
    assert told.report == counting.report(done)
    assert "vocals" not in [track.name for track in told.tracks]


def test_the_store_is_asked_for_an_unknown_song_once_a_second(queue: Queue, counting: CountingStore) -> None:
    results, unknown = Results(queue, counting), secrets.token_hex(28)

    found = [results.job(unknown) for _ in range(20)]

    assert found == [None] * 20
    assert counting.reads[unknown] < 20


def test_a_report_that_the_store_does_not_give_is_a_problem_and_no_song_without_stems(
    service: Service, queue: Queue, done: str
) -> None:
    away = Store.from_settings(replace(service.settings, minio_host=f"127.0.0.1:{free_ports(1)[0]}"), retries=0)

    with pytest.raises(StoreUnavailable):
        Results(queue, away).job(done)
