"""The queue as one who waits sees it: how long the line is, whose songs stand in it, how fast it moves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from msas.queue.connection import translate_errors
from msas.queue.queue import Queue

_RECENT = 30


@dataclass(frozen=True)
class QueueCounts:
    """How many jobs wait, run, and wait for their next try; how many workers hold a lease; and how long ago the job
    that will be taken next was enqueued: 0 where none waits, or where a stranger's message comes next. `unoffered` of
    those that wait are parked, and for models that no worker with a lease offers."""

    waiting: int
    running: int
    delayed: int
    workers: int
    oldest_seconds: float
    unoffered: int = 0


class QueueStats:
    """Reads only. Every method raises QueueUnavailable where Redis does not answer."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def count_jobs(self) -> QueueCounts:
        """Return how the queue stands. One cheap call, however long the line."""
        waiting, running, delayed, workers, oldest_ms, unoffered = self._queue.scripts.run("count_jobs")
        return QueueCounts(waiting, running, delayed, workers, oldest_ms / 1000, unoffered)

    def count_workers(self) -> int:
        """Return how many workers hold a lease now."""
        with translate_errors():
            return self._queue.redis.zcount(f"{self._queue.prefix}workers", self._queue.now(), "+inf")

    def memory_share(self) -> float:
        """Return which share of its maxmemory Redis uses; 0 where it has no such bound."""
        with translate_errors():
            info: dict[str, Any] = self._queue.redis.info("memory")
        most = info.get("maxmemory", 0)
        return info["used_memory"] / most if most else 0.0

    def read_field(self, songhashes: Iterable[str], name: str) -> list[str | None]:
        """Return one field of each job, None where it has none."""
        with translate_errors(), self._queue.redis.pipeline(transaction=False) as pipeline:
            for songhash in songhashes:
                pipeline.hget(self._queue.job_key(songhash), name)
            return [x.decode() if x else None for x in pipeline.execute()]

    def recently_ended(self) -> list[str]:
        """Return the jobs that ended last, the newest first."""
        with translate_errors():
            ended = self._queue.redis.zrevrange(f"{self._queue.prefix}ended", 0, _RECENT - 1)
        return [songhash.decode() for songhash in cast(list[bytes], ended)]
