"""The queue measured: how many jobs pass through it, how soon a lost one runs again, what fifty workers do to it."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread
from typing import Any

from redis import Redis

from local import servers
from local.child import Child
from msas.job import Job, State
from msas.options import Options
from msas.problem import QueueUnavailable
from msas.queue import Queue, Receiver
from msas.settings import Settings
from tests.support.own_store import OwnStore
from tests.support.processes import environment_with, eventually
from tests.support.rig import Rig

JOBS = 5_000
PROCESSES, WORKERS_EACH = 5, 10  # workers that sleep: threads, a tenth of which is killed at a time
KILLS = 8
LEASE = 2.0
_RAN, _PUBLISHED = "ran", "published"  # counts of each, in a database of their own


def measure(folder: Path) -> dict[str, float]:
    """Measure everything; `folder` is for the servers' data."""
    with _redis(folder / "flat") as settings:
        found = _throughput(settings)
    with _redis(folder / "scale") as settings:
        found |= _scale(settings)
    with OwnStore(folder / "store") as store:
        found["recover_s_max"] = _recover(folder, store)
    return found


def _throughput(settings: Settings) -> dict[str, float]:
    """One caller that enqueues, then one worker that takes, claims and settles, all in this process."""
    receiver = Receiver.from_settings(settings)
    since = time.monotonic()
    for number in range(JOBS):
        receiver.queue.enqueue(_job(number))
    enqueued = time.monotonic()
    for _ in range(JOBS):
        lease = receiver.take()
        assert lease
        assert lease.succeed(_report(lease.job)) == "ok"
    return {
        "enqueue_per_s": JOBS / (enqueued - since),
        "dispatch_jobs_per_s": JOBS / (time.monotonic() - enqueued),
    }


def _recover(folder: Path, store: OwnStore) -> float:
    """A worker is killed in mid-job while another stands by: the longest of five times until the job runs there."""
    worst = 0.0
    with Rig(folder / "rig", store.settings, lease_seconds=LEASE, beat_seconds=0.5) as rig:
        for _ in range(5):
            [songhash] = rig.accept("sleep-60")
            first = rig.worker()
            eventually(partial(rig.running, songhash, "separating"))
            second = rig.worker()
            rig.ready(second)
            first.process.kill()
            since = time.monotonic()
            eventually(partial(_tried_twice, rig, songhash), 60)
            worst = max(worst, time.monotonic() - since)
            rig.queue.cancel(songhash, "bench")
            second.process.kill()
    return worst


def _tried_twice(rig: Rig, songhash: str) -> bool:
    return rig.status(songhash).attempt == 2


def _scale(settings: Settings) -> dict[str, float]:
    """Fifty workers that only sleep, five thousand jobs, and every second ten of the workers are killed."""
    queue = Queue.from_settings(settings)
    for number in range(JOBS):
        queue.enqueue(_job(number))
    spawn = multiprocessing.get_context("spawn")

    def start() -> BaseProcess:
        process = spawn.Process(target=_sleepers, args=(settings,), daemon=True)
        process.start()
        return process

    processes, dice = [start() for _ in range(PROCESSES)], random.Random(0)
    everything = [_job(number).songhash for number in range(JOBS)]
    for _ in range(KILLS):
        time.sleep(1)
        doomed = dice.randrange(PROCESSES)
        processes[doomed].kill()
        processes[doomed] = start()

    def over() -> bool:
        queue.tick()
        return set(queue.states(everything).values()) <= {State.SUCCEEDED, State.FAILED}

    with suppress(AssertionError):
        eventually(over, 120)
    for process in processes:
        process.kill()
    states = list(queue.states(everything).values())
    with _counts(settings) as counts:
        published = [int(count) for count in counts.hvals(_PUBLISHED)]
        ran = [int(count) for count in counts.hvals(_RAN)]
    return {
        "scale_lost": JOBS - states.count(State.SUCCEEDED),
        "scale_doubled": sum(count > 1 for count in published),
        "scale_ran_again": sum(ran) - JOBS,
    }


def _sleepers(settings: Settings) -> None:
    for _ in range(WORKERS_EACH):
        Thread(target=_sleeper, args=(settings,)).start()


def _sleeper(settings: Settings) -> None:
    receiver = Receiver.from_settings(settings)
    with _counts(settings) as counts:
        while True:
            with suppress(QueueUnavailable):
                receiver.queue.tick()
                if lease := receiver.take():
                    counts.hincrby(_RAN, lease.job.songhash)
                    time.sleep(random.uniform(0.01, 0.1))
                    if lease.succeed(_report(lease.job)) == "ok":
                        counts.hincrby(_PUBLISHED, lease.job.songhash)


def _job(number: int) -> Job:
    return Job(f"{number:056x}", Options("lite"), f"song {number}.mp3")


def _report(job: Job) -> dict[str, Any]:
    stems = {name: {"bytes": 1, "seconds": 1.0} for name in ("vocals", "drums", "bass", "other")}
    return {"hash": job.songhash, "name": job.name, "model": "lite", "options": asdict(Options("lite")), "stems": stems}


@contextmanager
def _counts(settings: Settings) -> Iterator[Redis]:
    redis = Redis(settings.redis_host, settings.redis_port, db=1)
    try:
        yield redis
    finally:
        redis.close()


@contextmanager
def _redis(folder: Path) -> Iterator[Settings]:
    """A Redis that writes every change to its file, as ours do."""
    folder.mkdir()
    port = servers.free_ports(1)[0]
    child = Child("redis", servers.redis_command(port, folder), environment_with(), folder / "redis.log")
    settings = replace(Settings(), redis_port=port, lease_seconds=LEASE, beat_seconds=0.5, block_seconds=0.5)
    settings = replace(settings, retry_seconds=0.1)
    try:
        eventually(lambda: _answers(settings), 10)
        yield settings
    finally:
        child.process.kill()
        child.process.wait()


def _answers(settings: Settings) -> bool:
    try:
        return bool(Queue.from_settings(settings).now())
    except QueueUnavailable:
        return False
