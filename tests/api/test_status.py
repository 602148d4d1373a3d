"""The status of a job: long polls, the entity tag, the estimate; and what every response carries."""

from __future__ import annotations

import secrets
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import requests
from redis import Redis

from local import Service
from msas.job import Job
from msas.options import Options
from msas.queue import Consumer, Queue, connect
from msas.queue.connection import connect_blocking
from msas.queue.stats import QueueCounts, QueueStats
from msas.report import Report, SongFacts
from msas.settings import Settings
from msas.store import Store
from msas_client import Client
from rest.eta import Eta, Pace
from rest.job_reader import Results
from tests.queue.fixtures import claim_job
from tests.queue.fixtures import report as report_of_worker
from tests.support.another_rest import rest_with_own_queue
from tests.support.audio import RATE, true_waves, write
from tests.support.processes import eventually
from tests.support.requests import separate
from tests.support.rig import song as noise


@pytest.fixture
def queue(service: Service) -> Queue:
    return Queue.from_settings(service.settings)


@pytest.fixture
def store(service: Service) -> Store:
    return Store.from_settings(service.settings)


@pytest.fixture
def silent_job(queue: Queue) -> Iterator[str]:
    """A job that no worker has, so that only the test changes it."""
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


@pytest.fixture(scope="module")
def finished(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The songhash of a separated song."""
    song = write(tmp_path_factory.mktemp("finished") / "x.wav", true_waves()["mixture"][:, RATE : RATE + 22_223])
    songhash = separate(client, song)
    yield songhash
    client.remove(songhash)


def ask(service: Service, songhash: str, wait: object = None, **headers: str) -> requests.Response:
    params = {} if wait is None else {"wait": str(wait)}
    return requests.get(f"{service.url}/apiv1/status/{songhash}", params=params, headers=headers, timeout=120)


@contextmanager
def watching(service: Service, songhash: str) -> Iterator[Callable[[int], None]]:
    """Yield a function that returns once REST has read the job so many times more."""
    address = (service.settings.redis_host, service.settings.redis_port)
    with Redis(*address, socket_timeout=60) as connection, connection.monitor() as monitor:

        def await_reads(count: int) -> None:
            while count:
                command = monitor.next_command()["command"].lower()
                count -= "hgetall" in command and songhash in command

        yield await_reads


def test_a_long_poll_answers_when_the_job_changes(service: Service, queue: Queue, silent_job: str) -> None:
    with watching(service, silent_job) as await_reads, ThreadPoolExecutor(1) as pool:
        polling = pool.submit(ask, service, silent_job, 60)
        await_reads(4)
        waited = not polling.done()
        queue.redis.hset(queue.job_key(silent_job), "progress", "0.5")

        assert waited
        assert polling.result(60).json()["progress"] == 0.5


def test_a_change_since_the_callers_etag_is_answered_at_once(service: Service, queue: Queue, silent_job: str) -> None:
    tag = ask(service, silent_job).headers["ETag"]
    queue.redis.hset(queue.job_key(silent_job), "stage", "storing")

    answer = ask(service, silent_job, 60, **{"If-None-Match": tag})

    assert answer.status_code == 200
    assert answer.json()["stage"] == "storing"
    assert answer.elapsed.total_seconds() < 60


def test_a_poll_without_a_change_gets_304_where_the_caller_sent_the_etag(service: Service, silent_job: str) -> None:
    tag = ask(service, silent_job).headers["ETag"]

    answer = ask(service, silent_job, 0.01, **{"If-None-Match": tag})

    assert answer.status_code == 304
    assert answer.content == b""


def test_a_poll_without_a_change_gets_the_status_where_the_caller_sent_no_etag(
    service: Service, silent_job: str
) -> None:
    answer = ask(service, silent_job, 0.01)

    assert answer.status_code == 200
    assert answer.json()["progress"] == 0.25


def test_a_status_is_never_taken_from_a_cache(service: Service, silent_job: str) -> None:
    assert ask(service, silent_job).headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("wait", ["-1", "x", "nan", ""])
def test_a_wait_that_is_no_number_of_seconds_is_none(service: Service, silent_job: str, wait: str) -> None:
    assert ask(service, silent_job, wait).status_code == 200


def test_a_poll_for_a_job_that_has_ended_does_not_wait(service: Service, finished: str) -> None:
    answer = ask(service, finished, 60)

    assert answer.json()["status"] == "succeeded"
    assert answer.elapsed.total_seconds() < 60


def test_a_long_poll_ends_when_the_song_is_removed(service: Service, queue: Queue, silent_job: str) -> None:
    with watching(service, silent_job) as await_reads, ThreadPoolExecutor(1) as pool:
        polling = pool.submit(ask, service, silent_job, 60)
        await_reads(4)
        queue.redis.delete(queue.job_key(silent_job))

        assert polling.result(60).status_code == 404


def test_hundreds_of_long_polls_wait_at_once_and_are_all_answered(
    service: Service, silent_job: str, queue: Queue
) -> None:
    address = (service.settings.rest_host, service.settings.rest_port)
    with ExitStack() as stack:
        polls = [stack.enter_context(socket.create_connection(address, 60)) for _ in range(300)]
        for poll in polls:
            poll.sendall(f"GET /apiv1/status/{silent_job}?wait=60 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        health = requests.get(f"{service.url}/healthz", timeout=30)
        early, _, _ = select.select(polls, [], [], 0)

        def all_are_answered() -> bool:
            queue.redis.hincrbyfloat(queue.job_key(silent_job), "progress", 0.0001)  # some may not wait yet
            return len(select.select(polls, [], [], 0.1)[0]) == len(polls)

        eventually(all_are_answered, 50)
        answers = [poll.recv(20) for poll in polls]

    assert health.ok
    assert not early
    assert set(answers) == {b"HTTP/1.1 200 OK\r\nSer"}


def test_the_estimate_is_learned_from_a_job_that_succeeded(service: Service, tmp_path: Path) -> None:
    with rest_with_own_queue(service, tmp_path) as (url, settings):
        first, second = (
            requests.post(
                f"{url}/apiv1/separate", data=noise(seed), headers={"Content-Type": "audio/wav"}, timeout=60
            ).json()["hash"]
            for seed in (1, 2)
        )
        lease = claim_job(Consumer(connect(settings), connect_blocking(settings), settings))
        content = report("lite", "cpu", factor=0.01, seconds=0.1)
        Store.from_settings(settings).put_report(replace(content, songhash=lease.job.songhash))
        lease.succeed()

        ended = requests.get(f"{url}/apiv1/status/{first}", timeout=60).json()
        queued = requests.get(f"{url}/apiv1/status/{second}", timeout=60).json()
        for songhash in (first, second):
            requests.delete(f"{url}/apiv1/remove/{songhash}", timeout=60)

    assert ended["status"] == "succeeded"
    assert ended["eta_seconds"] is None
    assert queued["queue_position"] == 1
    assert queued["eta_seconds"] == 10.0, "0.1 s of song, of which 0.01 s take a second"


def report(model: str, device: str, factor: float, seconds: float = 100.0) -> Report:
    found = report_of_worker()
    return replace(found, model=model, device=device, real_time_factor=factor, song=SongFacts(seconds))


def test_the_pace_is_the_median_of_the_device_that_the_model_ran_on_last() -> None:
    pace = Pace([report("a", "cpu", 2.0), report("a", "cpu", 4.0), report("a", "cpu", 90.0), report("a", "cuda", 50.0)])

    assert pace.seconds("a", 200.0) == 50.0
    assert pace.seconds("a", None) == 25.0
    assert pace.seconds("b", 200.0) is None


@pytest.fixture
def own_settings(service: Service) -> Settings:
    return replace(service.settings, work_queue="line-of-a-test", lease_seconds=60)


@pytest.fixture
def own_queue(own_settings: Settings) -> Iterator[Queue]:
    """A queue that only the test uses."""
    own = Queue.from_settings(own_settings)
    yield own
    for key in own.redis.scan_iter("*line-of-a-test*"):
        own.redis.delete(key)


def test_the_estimate_adds_the_lengths_of_the_songs_ahead(own_queue: Queue, store: Store) -> None:
    for number, seconds in enumerate([60.0, 300.0, 6.0, 60.0]):
        model = "lite" if number else "a model without any report"
        own_queue.enqueue(Job(f"{number:056x}", Options(model), seconds=seconds))
    eta = eta_after(own_queue, store, report("lite", "cpu", 6.0))

    estimates = [eta.seconds(job) for number in range(4) if (job := own_queue.job(f"{number:056x}"))]
    own_queue.enqueue(Job(f"{5:056x}", Options("lite"), seconds=12.0))
    newest = own_queue.job(f"{5:056x}")

    assert estimates == [None, 60.0, 61.0, 71.0]
    assert newest
    assert eta.seconds(newest) == 73.0


def test_one_thread_at_a_time_looks_at_the_queue_for_estimates(
    own_queue: Queue, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_queue.enqueue(Job(f"{1:056x}", Options("lite"), seconds=60.0))
    job = own_queue.job(f"{1:056x}")
    assert job
    looks, looking, go_on = list[None](), threading.Event(), threading.Event()
    count_jobs = QueueStats.count_jobs

    def slow_count(stats: QueueStats) -> QueueCounts:
        looks.append(None)
        looking.set()
        go_on.wait(30)
        return count_jobs(stats)

    monkeypatch.setattr(QueueStats, "count_jobs", slow_count)
    eta = Eta(own_queue, Results(own_queue, store))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(eta.seconds, job)
        looking.wait(30)
        eta.seconds(job)
        go_on.set()
        first.result(60)

    assert len(looks) == 1


def test_the_estimate_divides_the_songs_ahead_among_the_workers(
    own_queue: Queue, own_settings: Settings, store: Store
) -> None:
    for _ in range(2):
        Consumer(connect(own_settings), connect_blocking(own_settings), own_settings).renew(None)
    for number, seconds in enumerate([60.0, 300.0]):
        own_queue.enqueue(Job(f"{number:056x}", Options("lite"), seconds=seconds))
    eta = eta_after(own_queue, store, report("lite", "cpu", 6.0))

    last = own_queue.job(f"{1:056x}")

    assert last
    assert eta.seconds(last) == 10.0 / 2 + 50.0


@pytest.mark.parametrize(
    ("progress", "least", "most"),
    [("0.25", 300, 390), ("0.01", 860, 900)],
    ids=["from the time so far", "from the reports"],
)
def test_the_estimate_of_a_running_job_comes_from_its_progress_or_from_earlier_reports(
    own_queue: Queue, store: Store, progress: str, least: float, most: float
) -> None:
    """The job runs for 100 s. Where its progress says too little, songs of its length take 1,000 s."""
    fields = {"status": "running", "model": "lite", "seconds": "100", "progress": progress}
    started = {"started_at": str(own_queue.now() - 100_000)}
    own_queue.redis.hset(own_queue.job_key("a" * 56), mapping=cast(Any, fields | started))
    eta = eta_after(own_queue, store, report("lite", "cpu", 0.1))

    job = own_queue.job("a" * 56)
    assert job
    estimate = eta.seconds(job)

    assert estimate
    assert least <= estimate <= most


def eta_after(queue: Queue, store: Store, content: Report) -> Eta:
    """Return estimates once a job has succeeded, with this report."""
    done = secrets.token_hex(28)
    store.put_report(replace(content, songhash=done))
    queue.restore_result(done, 1)
    return Eta(queue, Results(queue, store))


@pytest.mark.parametrize("path", ["/", "/apiv1/queue", "/apiv1/status/none", "/apiv1/nothing"])
def test_every_response_has_safe_headers_an_id_and_no_banner(service: Service, path: str) -> None:
    headers = requests.get(service.url + path, timeout=10).headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"]
    assert headers["X-Request-Id"]
    assert headers["Server"] == "MSaaS"


def metric(service: Service, name: str) -> float:
    text = requests.get(f"{service.url}/metrics", timeout=30).text
    return next((float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(f"{name} ")), 0.0)


def test_metrics_count_calls_by_their_route_and_never_by_their_path(service: Service, silent_job: str) -> None:
    calls = 'msas_http_requests_total{method="GET",route="/apiv1/status/<songhash>",status="200"}'
    before = metric(service, calls)

    ask(service, silent_job)

    assert metric(service, calls) == before + 1
    assert silent_job not in requests.get(f"{service.url}/metrics", timeout=30).text


def test_metrics_count_unknown_methods_as_other(service: Service) -> None:
    calls = 'msas_http_requests_total{method="other",route="none",status="405"}'
    before = metric(service, calls)

    requests.request("BREW", f"{service.url}/apiv1/separate", timeout=30)

    assert metric(service, calls) == before + 1
    assert "BREW" not in requests.get(f"{service.url}/metrics", timeout=30).text


def test_metrics_tell_how_the_queue_stands(service: Service) -> None:
    assert metric(service, "msas_redis_up") == 1
    eventually(lambda: metric(service, "msas_workers") == 1, 40)
