"""Measures how many jobs a second pass through the queue, against plain commands that write the same to that Redis."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from typing import cast

from redis import Redis

from bench import queue_length
from bench.material import Setup
from bench.own_redis import make_job, own_redis
from msas.job import Job
from msas.queue import Consumer, connect
from msas.queue.job_view import job_fields

JOBS, TURNS = 1_000, 5  # jobs a turn; the first turn warms up
_LIST, _TAKEN = "raw", "raw-taken"


def measure(setup: Setup) -> dict[str, float]:
    """One caller enqueues jobs, then one worker takes, claims and settles them; then the plain commands do so.

    Then queues of different lengths are compared.
    """
    with own_redis(setup.out / "redis") as settings:
        consumer, redis = Consumer.from_settings(settings), connect(settings)
        steps: dict[str, Callable[[Job], None]] = {
            "enqueue": lambda job: _enqueue(consumer, job),
            "dispatch": lambda _: _dispatch(consumer),
            "raw_enqueue": lambda job: _enqueue_raw(redis, job),
            "raw_dispatch": lambda _: _dispatch_raw(redis),
        }
        rates: dict[str, list[float]] = {name: [] for name in steps}
        numbers = itertools.count()
        for _ in range(TURNS):
            jobs = [make_job(next(numbers)) for _ in range(JOBS)]
            for name, step in steps.items():
                rates[name].append(JOBS / _seconds(step, jobs))
    rate = {name: statistics.median(found[1:]) for name, found in rates.items()}
    return {
        "enqueue_vs_pipeline": rate["enqueue"] / rate["raw_enqueue"],
        "dispatch_vs_pipeline": rate["dispatch"] / rate["raw_dispatch"],
        "enqueue_per_s": rate["enqueue"],
        "dispatch_per_s": rate["dispatch"],
        **queue_length.measure(setup),
    }


def _seconds(step: Callable[[Job], None], jobs: list[Job]) -> float:
    since = time.monotonic()
    for job in jobs:
        step(job)
    return time.monotonic() - since


def _enqueue(consumer: Consumer, job: Job) -> None:
    created, _ = consumer.queue.enqueue(job)
    assert created


def _dispatch(consumer: Consumer) -> None:
    lease = consumer.claim_next()
    assert lease
    assert lease.succeed() == "ok"


def _enqueue_raw(redis: Redis, job: Job) -> None:
    """LPUSH the message and HSET the job's fields, in one pipeline."""
    pipeline = redis.pipeline(transaction=False)
    pipeline.lpush(_LIST, job.message())
    pipeline.hset(_key(job), items=["status", "queued", *job_fields(job)])
    pipeline.execute()


def _dispatch_raw(redis: Redis) -> None:
    """Move a message to a list of taken ones; HSET that the job runs; in one pipeline, LREM it and HSET its end."""
    message = cast(bytes, redis.blmove(_LIST, _TAKEN, 5, "RIGHT", "LEFT"))
    taken = Job.from_message(message)
    redis.hset(_key(taken), items=["status", "running", *job_fields(taken)])
    pipeline = redis.pipeline(transaction=False)
    pipeline.lrem(_TAKEN, 1, message.decode())
    pipeline.hset(_key(taken), items=["status", "succeeded", "ended_at", str(time.time_ns())])
    pipeline.execute()


def _key(job: Job) -> str:
    return f"raw:{job.songhash}"
