"""Asking for news: the long poll, the entity tag, the estimate; and what every answer carries."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from local import Service
from msas.job import Job, State
from msas.options import Options
from msas.queue import Queue
from msas.status import JobStatus
from msas_client import Client
from rest.eta import Eta, Pace
from tests.support.audio import RATE, true_waves, write
from tests.support.processes import eventually


@pytest.fixture
def queue(service: Service) -> Queue:
    return Queue.from_settings(service.settings)


@pytest.fixture
def silent_job(queue: Queue) -> Any:
    """A job that is in nobody's line, so that it changes only where the test changes it."""
    songhash = f"{time.time_ns():056x}"
    fields: dict[Any, Any] = {
        "status": "running",
        "model": "lite",
        "name": "x",
        "progress": "0.25",
        "stage": "separating",
    }
    queue.redis.hset(queue.job_key(songhash), mapping=fields)
    yield songhash
    queue.redis.delete(queue.job_key(songhash))


def ask(service: Service, songhash: str, wait: object = None, **headers: str) -> requests.Response:
    params = {} if wait is None else {"wait": str(wait)}
    return requests.get(f"{service.url}/apiv1/status/{songhash}", params=params, headers=headers, timeout=70)


def test_a_long_poll_answers_when_the_job_changes(service: Service, queue: Queue, silent_job: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        polling = pool.submit(ask, service, silent_job, 30)
        with pytest.raises(TimeoutError):
            polling.result(1)
        queue.redis.hset(queue.job_key(silent_job), "progress", "0.5")
        assert polling.result(10).json()["progress"] == 0.5


def test_a_change_since_the_tag_that_the_caller_knows_is_never_missed(
    service: Service, queue: Queue, silent_job: str
) -> None:
    tag = ask(service, silent_job).headers["ETag"]
    queue.redis.hset(queue.job_key(silent_job), "stage", "storing")
    answer = ask(service, silent_job, 60, **{"If-None-Match": tag})
    assert (answer.status_code, answer.json()["stage"]) == (200, "storing")


def test_where_nothing_changes_the_caller_who_knows_gets_304_and_the_others_the_same_again(
    service: Service, silent_job: str
) -> None:
    first = ask(service, silent_job)
    assert ask(service, silent_job, 0.6, **{"If-None-Match": first.headers["ETag"]}).status_code == 304
    assert ask(service, silent_job, 0.6).json()["progress"] == 0.25


@pytest.mark.parametrize("wait", ["-1", "x", "nan", ""])
def test_a_wait_that_is_no_number_of_seconds_is_none(service: Service, silent_job: str, wait: str) -> None:
    assert ask(service, silent_job, wait).status_code == 200


def test_a_job_that_is_over_keeps_nobody_waiting(service: Service, client: Client, song: Path) -> None:
    songhash = client.separate(song).songhash
    client.wait(songhash, timeout=60)
    assert ask(service, songhash, 60).elapsed.total_seconds() < 30


def test_a_song_that_is_removed_ends_the_wait_for_it(service: Service, queue: Queue, silent_job: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        polling = pool.submit(ask, service, silent_job, 60)
        with pytest.raises(TimeoutError):
            polling.result(0.5)
        queue.redis.delete(queue.job_key(silent_job))
        assert polling.result(10).status_code == 404


def test_those_who_wait_never_keep_others_from_being_served(service: Service, silent_job: str, queue: Queue) -> None:
    many = 3 * service.settings.rest_threads
    with ThreadPoolExecutor(many) as pool:
        polling = [pool.submit(ask, service, silent_job, 20) for _ in range(many)]
        eventually(lambda: sum(answer.done() for answer in polling) >= many - service.settings.rest_threads // 2)
        assert requests.get(f"{service.url}/healthz", timeout=5).ok
        assert not all(answer.done() for answer in polling)
        queue.redis.hset(queue.job_key(silent_job), "progress", "0.75")
        assert all(answer.result(20).ok for answer in polling)


def test_the_estimate_is_learned_from_the_jobs_before(service: Service, client: Client, tmp_path: Path) -> None:
    samples = true_waves()["mixture"].repeat(3, axis=1)
    jobs = [client.separate(write(tmp_path / f"{n}.wav", samples[:, n * RATE :])).songhash for n in range(1, 4)]
    client.wait(jobs[0], timeout=60)
    estimates: list[float] = []

    def last_is_over() -> bool:
        found = ask(service, jobs[-1]).json()
        if found["status"] == "queued" and found["eta_seconds"] is not None:
            estimates.append(found["eta_seconds"])
        return bool(found["status"] == "succeeded")

    eventually(last_is_over, 60)
    assert all(0 < estimate < 60 for estimate in estimates)
    assert ask(service, jobs[-1]).json()["eta_seconds"] is None


def report(model: str, device: str, factor: float, seconds: float = 100.0) -> dict[str, Any]:
    return {"model": model, "device": device, "real_time_factor": factor, "song": {"seconds": seconds}}


def test_the_pace_is_the_median_of_the_device_that_the_model_ran_on_last() -> None:
    pace = Pace([report("a", "cpu", 2.0), report("a", "cpu", 4.0), report("a", "cpu", 90.0), report("a", "cuda", 50.0)])
    assert pace.seconds("a", 200.0) == 50.0
    assert pace.seconds("a", None) == 25.0
    assert pace.seconds("b", 200.0) is None


def test_a_song_in_line_is_told_an_end_by_the_lengths_of_the_songs_before_it(service: Service, queue: Queue) -> None:
    """The line is one of the test's own."""
    other = Queue(queue.redis, replace(service.settings, work_queue="line-of-a-test"))
    try:
        lengths = [60.0, 300.0, 6.0, 60.0]
        for number, seconds in enumerate(lengths):
            model = "lite" if number else "of which none was done yet"
            other.enqueue(Job(f"{number:056x}", Options(model), seconds=seconds))
        done = f"{9:056x}"
        other.redis.hset(
            other.job_key(done), mapping={"status": "succeeded", "report": json.dumps(report("lite", "cpu", 6.0))}
        )
        other.redis.zadd(f"{other.prefix}ended", {done: 1})
        eta = Eta(other)
        line = [other.status(f"{number:056x}") for number in range(4)]
        assert [eta.seconds(job) for job in line if job] == [None, 60.0, 61.0, 71.0]
        other.enqueue(Job(f"{5:056x}", Options("lite"), seconds=12.0))
        newest = other.status(f"{5:056x}")
        assert newest
        assert eta.seconds(newest) == 73.0
        assert isinstance(line[0], JobStatus)
        assert line[0].state is State.QUEUED
    finally:
        for key in other.redis.scan_iter("*line-of-a-test*"):
            other.redis.delete(key)


@pytest.mark.parametrize("path", ["/", "/apiv1/queue", "/apiv1/status/none", "/apiv1/nothing"])
def test_every_answer_has_safe_headers_an_id_and_no_banner(service: Service, path: str) -> None:
    headers = requests.get(service.url + path, timeout=10).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"]
    assert headers["X-Request-Id"]
    assert headers["Server"] == "MSaaS"


def test_prometheus_is_told_of_calls_by_their_route_and_of_the_queue(service: Service, silent_job: str) -> None:
    def value(name: str) -> float:
        text = requests.get(f"{service.url}/metrics", timeout=10).text
        return next((float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(f"{name} ")), 0.0)

    calls = 'msas_http_requests_total{method="GET",route="/apiv1/status/<songhash>",status="200"}'
    before = value(calls)
    ask(service, silent_job)
    assert value(calls) == before + 1
    assert value("msas_workers") == 1
    assert value("msas_redis_up") == 1
    assert silent_job not in requests.get(f"{service.url}/metrics", timeout=10).text
