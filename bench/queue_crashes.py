"""Measures how soon the job of a killed worker runs again, and what kills do to thousands of jobs of many workers."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread

from redis import Redis

from bench.material import Setup
from bench.own_redis import LEASE, make_job, own_redis
from msas.errors import QueueUnavailable
from msas.job import Status
from msas.queue import Consumer, Queue
from msas.settings import Settings
from tests.support.own_store import OwnStore
from tests.support.processes import eventually
from tests.support.rig import Rig

KILLS = 3  # of a worker in the middle of its job
JOBS, PROCESSES, WORKERS_EACH = 5_000, 5, 10  # the workers are threads; a tenth of them is killed at a time
PROCESS_KILLS = 8
_RAN, _PUBLISHED = "ran", "published"  # counts for each job, in a database of their own


def measure(setup: Setup) -> dict[str, float]:
    with own_redis(setup.out / "redis") as settings:
        found = _many_workers(settings)
    with OwnStore(setup.out / "store") as store:
        seconds = _longest_recovery(setup.out, store)
    return {**found, "recover_s_max": seconds, "recover_vs_lease": seconds / LEASE}


def _longest_recovery(folder: Path, store: OwnStore) -> float:
    """Kill a worker in the middle of its job while another waits; return the longest time, in seconds, until the
    job runs there."""
    longest = 0.0
    with Rig(folder / "rig", store.settings, lease_seconds=LEASE, beat_seconds=0.5) as rig:
        for _ in range(KILLS):
            [songhash] = rig.accept("sleep-60")
            first = rig.worker()
            eventually(partial(rig.running, songhash, "separating"))
            second = rig.worker()
            rig.ready(second)
            first.process.kill()
            since = time.monotonic()
            eventually(partial(_runs_again, rig, songhash), 60)
            longest = max(longest, time.monotonic() - since)
            rig.queue.cancel(songhash, "bench")
            second.process.kill()
    return longest


def _runs_again(rig: Rig, songhash: str) -> bool:
    return rig.job(songhash).attempt == 2


def _many_workers(settings: Settings) -> dict[str, float]:
    """Let fifty workers that only sleep do 5,000 jobs; after each 500, kill ten of them and start ten others."""
    queue, jobs = Queue.from_settings(settings), [make_job(number) for number in range(JOBS)]
    songhashes = [job.songhash for job in jobs]
    for job in jobs:
        queue.enqueue(job)
    processes, dice = [_start_workers(settings) for _ in range(PROCESSES)], random.Random(0)
    for kill in range(PROCESS_KILLS):
        eventually(partial(_have_begun, settings, (kill + 1) * JOBS // 10), 120)
        doomed = dice.randrange(PROCESSES)
        processes[doomed].kill()
        processes[doomed] = _start_workers(settings)

    def have_all_ended() -> bool:
        queue.reclaim()
        return set(queue.statuses(songhashes).values()) <= {Status.SUCCEEDED, Status.FAILED}

    with suppress(AssertionError):  # the figures tell how many have not
        eventually(have_all_ended, 120)
    for process in processes:
        process.kill()
        process.join()
    return _count(settings, list(queue.statuses(songhashes).values()))


def _have_begun(settings: Settings, jobs: int) -> bool:
    with _counts(settings) as counts:
        return counts.hlen(_RAN) >= jobs


def _count(settings: Settings, statuses: list[Status | None]) -> dict[str, float]:
    with _counts(settings) as counts:
        published = [int(count) for count in counts.hvals(_PUBLISHED)]
        ran = [int(count) for count in counts.hvals(_RAN)]
    return {
        "scale_lost": JOBS - statuses.count(Status.SUCCEEDED),
        "scale_doubled": sum(count > 1 for count in published),
        "scale_ran_again": sum(ran) - JOBS,
    }


def _start_workers(settings: Settings) -> BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=_run_workers, args=(settings,), daemon=True)
    process.start()
    return process


def _run_workers(settings: Settings) -> None:
    for _ in range(WORKERS_EACH):
        Thread(target=_run_worker, args=(settings,)).start()


def _run_worker(settings: Settings) -> None:
    consumer = Consumer.from_settings(settings)
    with _counts(settings) as counts:
        while True:
            with suppress(QueueUnavailable):
                consumer.queue.reclaim()
                if lease := consumer.claim_next():
                    counts.hincrby(_RAN, lease.job.songhash)
                    time.sleep(random.uniform(0.01, 0.1))
                    if lease.succeed() == "ok":
                        counts.hincrby(_PUBLISHED, lease.job.songhash)


@contextmanager
def _counts(settings: Settings) -> Iterator[Redis]:
    redis = Redis(settings.redis_host, settings.redis_port, db=1)
    try:
        yield redis
    finally:
        redis.close()
