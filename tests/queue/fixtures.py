"""Fixtures and helpers for tests of the queue (a pytest plugin): a queue of the test's own, its workers, its jobs."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias, cast

import pytest

from local import Service
from msas.errors import Problem
from msas.job import Job, Status
from msas.options import Options
from msas.queue import Consumer, JobView, Lease, Queue, connect
from msas.queue.connection import connect_blocking
from msas.report import Report, Stem
from msas.settings import Settings

STEMS = (
    Stem(name="vocals", extension="mp3", bytes=10, seconds=1.5),
    Stem(name="bass", extension="mp3", bytes=20, seconds=1.5),
)
ERROR = Problem("It went wrong.")
Workers: TypeAlias = Callable[[], Consumer]


@pytest.fixture
def settings(service: Service) -> Settings:
    """The service's Redis, with a queue of this test's own, and leases of 0.3 s."""
    return replace(
        service.settings,
        work_queue=f"test-{secrets.token_hex(4)}",
        lease_seconds=0.3,
        beat_seconds=0.1,
        block_seconds=0.05,
        retry_seconds=0.1,
    )


@pytest.fixture
def queue(settings: Settings) -> Queue:
    return Queue.from_settings(settings)


@pytest.fixture
def worker(settings: Settings) -> Workers:
    """Return a function that makes a new worker's end of the queue."""
    return lambda: Consumer(connect(settings), connect_blocking(settings), settings)


def job(number: int = 0) -> Job:
    return Job(f"{number:056x}", Options("lite"), f"song {number}.mp3")


def claim_job(consumer: Consumer) -> Lease:
    """Take the next job, which must be there."""
    lease = consumer.claim_next()
    assert lease, "no job was in line"
    return lease


def pop(queue: Queue, consumer: Consumer) -> None:
    """Move the next message into the worker's list, as a worker does that dies or pauses before its claim."""
    consumer.renew(None)
    assert queue.redis.lmove(queue.name, consumer.run_key, "RIGHT", "LEFT"), "no message was in line"


def get_job(queue: Queue, number: int = 0) -> JobView:
    """Return the status of the job, which must be known."""
    status = queue.job(job(number).songhash)
    assert status, f"job {number} is unknown"
    return status


def get_status(queue: Queue, number: int = 0) -> Status | None:
    found = queue.job(job(number).songhash)
    return found.status if found else None


def copies(queue: Queue, number: int = 0) -> int:
    """Return how many copies of the job's message lie in the line, the delayed set and the workers' lists."""
    message = job(number).message()
    lists = [queue.name, *queue.redis.scan_iter(f"{queue.prefix}run:*")]
    delayed = queue.redis.zscore(f"{queue.prefix}delayed", message) is not None
    return delayed + sum(cast(list[bytes], queue.redis.lrange(key, 0, -1)).count(message) for key in lists)


def report(number: int = 0) -> Report:
    """Return a worker's report on the job."""
    return Report(
        songhash=job(number).songhash, name=job(number).name, options=Options("lite"), model="lite", stems=STEMS
    )
