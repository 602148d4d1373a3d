"""What the tests of the queue share (a pytest plugin): a queue of their own on the service's Redis, leases of 0.3 s."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest
from redis import Redis

from local import Service
from msas.job import Job, State
from msas.options import Options
from msas.problem import Problem
from msas.queue import Lease, Queue, Receiver, connect
from msas.queue.connection import connect_blocking
from msas.settings import Settings
from msas.status import Track

TRACKS = [Track("vocals", "mp3", 10, 1.5), Track("bass", "mp3", 20, 1.5)]
ERROR = Problem("It went wrong.")


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
def worker(settings: Settings) -> Callable[[], Receiver]:
    return lambda: Receiver(connect(settings), connect_blocking(settings), settings)


def job(number: int = 0) -> Job:
    return Job(f"{number:056x}", Options("lite"), f"song {number}.mp3")


def taken(receiver: Receiver) -> Lease:
    lease = receiver.take()
    assert lease
    return lease


def state(queue: Queue, number: int = 0) -> State | None:
    status = queue.status(job(number).songhash)
    return status.state if status else None


def places(redis: Redis, queue: Queue, number: int = 0) -> int:
    """Return in how many places the job's message lies: the line, the delayed set, what each worker has taken."""
    lists = [queue.name, *redis.scan_iter(f"{queue.prefix}run:*")]
    delayed = redis.zscore(f"{queue.prefix}delayed", job(number).message()) is not None
    return delayed + sum(redis.lrange(key, 0, -1).count(job(number).message()) for key in lists)


def report(number: int = 0) -> dict[str, Any]:
    """Return what a worker reports on the job, as far as the queue reads it."""
    stems = {track.name: {"bytes": track.bytes, "seconds": track.seconds} for track in TRACKS}
    content = {"hash": job(number).songhash, "name": job(number).name, "model": "lite", "stems": stems}
    return {**content, "options": asdict(Options("lite"))}
