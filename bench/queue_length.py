"""Measures whether calls of the queue take longer while many jobs wait, and how long one script keeps Redis busy."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import astuple, replace
from functools import partial
from typing import Any

from bench.material import Setup
from bench.own_redis import make_job, own_redis
from msas.errors import NotAudio
from msas.job import Job
from msas.queue import Bounds, Consumer
from msas.queue.job_view import job_fields
from msas.queue.stats import QueueStats
from msas.settings import Settings

SHORT, MIDDLE, LONG = 10, 1_000, 100_000  # jobs that wait; each second one has an owner
OWNERS, MANY_OWNERS = 5, 500
TURNS = 300
_BOUNDS = Bounds(10**7, 10**7, 1e9)
_BATCH = 5_000


def measure(setup: Setup) -> dict[str, float]:
    """Let queues of different lengths take turns; then call every script while 100,000 jobs wait."""
    with ExitStack() as stack:
        queues = [
            _FilledQueue(stack.enter_context(own_redis(setup.out / f"redis-{length}-{owners}")), length, owners)
            for length, owners in ((SHORT, OWNERS), (MIDDLE, OWNERS), (MIDDLE, MANY_OWNERS), (LONG, OWNERS))
        ]
        for _ in range(TURNS):
            for queue in queues:
                queue.measure_turn()
        short, middle, many_owners, long = queues
        name, longest_ms = long.find_longest_script()
    print(f"  the longest script with {LONG:,} jobs: {name}")
    admit_ms, status_ms = statistics.median(short.admits) * 1000, statistics.median(short.statuses) * 1000
    return {
        "admit_1000_vs_10": statistics.median(middle.admits) * 1000 / admit_ms,
        "admit_500_owners_vs_5": statistics.median(many_owners.admits) / statistics.median(middle.admits),
        "admit_100000_vs_10": statistics.median(long.admits) * 1000 / admit_ms,
        "status_100000_vs_10": statistics.median(long.statuses) * 1000 / status_ms,
        "admit_10_ms": admit_ms,
        "status_10_ms": status_ms,
        "longest_script_ms": longest_ms,
    }


class _FilledQueue:
    """A queue in which so many jobs wait, and the seconds that calls took."""

    def __init__(self, settings: Settings, length: int, owners: int) -> None:
        self._owners = owners
        self.consumer, self._numbers = Consumer.from_settings(settings), itertools.count()
        self.queue, self.redis = self.consumer.queue, self.consumer.queue.redis
        self.admits: list[float] = []
        self.statuses: list[float] = []
        for start in range(0, length, _BATCH):
            self._fill(min(_BATCH, length - start))

    def measure_turn(self) -> None:
        """Admit a job, ask for its status, and end another, so that the length stays the same."""
        job = self._next_job()
        self.admits.append(_seconds(partial(self.queue.admit, job, _BOUNDS, 0)))
        self.statuses.append(_seconds(partial(self.queue.job, job.songhash)))
        lease = self.consumer.claim_next()
        assert lease
        lease.fail(NotAudio("It went wrong."))

    def find_longest_script(self) -> tuple[str, float]:
        """Call the scripts; return the name of the one that kept Redis busy longest, and for how many ms."""
        self.redis.config_set("slowlog-max-len", 10_000)
        self.redis.config_set("slowlog-log-slower-than", 100)  # in us; the commands in the scripts are logged, too
        self.redis.slowlog_reset()
        self._call_scripts()
        names = {script.sha: name for name, script in self.queue.scripts._scripts.items()}
        longest: dict[str, float] = {}
        for entry in self.redis.slowlog_get(10_000):
            words = entry["command"].decode().split(" ")
            if words[0] == "EVALSHA":
                name = names[words[1]]
                longest[name] = max(longest.get(name, 0.0), entry["duration"] / 1000)
        name = max(longest, key=longest.__getitem__)
        return name, longest[name]

    def _call_scripts(self) -> None:
        queue, problem = self.queue, NotAudio("It went wrong.")
        jobs = [self._next_job() for _ in range(500)]
        for job in jobs:
            queue.look_up(job.songhash, job.owner)
            queue.has_room(job.owner, _BOUNDS)
            queue.admit(job, _BOUNDS, 0)
        queue.jobs([job.songhash for job in jobs])
        for skip in (0, LONG // 2, LONG - 1_000):
            queue.list_jobs(skip, 1_000)
            queue.list_jobs(skip, 1_000, "owner 1")
        QueueStats(queue).count_jobs()
        for settle in ("release", "retry", "wait", "fail") * 5:
            lease = self.consumer.claim_next()
            assert lease
            lease.renew()
            getattr(lease, settle)(*(() if settle == "release" else (problem,)))
        queue.reclaim()
        for job in jobs[:4]:
            queue.enqueue(job, perhaps_lost=True)
            queue.cancel(job.songhash, "bench")
            queue.delete_cancelled(job.songhash, "bench")

    def _next_job(self) -> Job:
        number = next(self._numbers)
        return replace(
            make_job(number), owner=f"owner {number // 2 % self._owners}" if number % 2 else "", seconds=240.0
        )

    def _fill(self, count: int) -> None:
        """Enqueue jobs in one pipeline."""
        script: Any = self.queue.scripts._scripts["enqueue"]
        fields = job_fields(make_job(0))
        with self.redis.pipeline(transaction=False) as pipeline:
            for job in (self._next_job() for _ in range(count)):
                facts = [job.songhash, job.message(), "", job.owner, 4.0, *astuple(_BOUNDS)]
                script(keys=[self.queue.name], args=[*facts, "owner", job.owner, *fields], client=pipeline)
            pipeline.execute()


def _seconds(call: Callable[[], object]) -> float:
    since = time.perf_counter()
    call()
    return time.perf_counter() - since
