"""Read-only statistics about the queue: counts of jobs and workers, recently ended jobs, memory of Redis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from msas.queue.connection import translate_errors
from msas.queue.queue import Queue

_RECENT = 30


@dataclass(frozen=True)
class QueueCounts:
    """How many jobs wait, run, and wait for their next attempt; how many workers hold a lease; the age of the oldest
    job that may be claimed next, 0 where there is none or a foreign message comes next. `unoffered` jobs wait for
    models that no worker with a lease offers."""

    waiting: int
    running: int
    delayed: int
    workers: int
    oldest_seconds: float
    unoffered: int = 0


class QueueStats:
    """Methods raise QueueUnavailable where Redis does not answer."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def count_jobs(self) -> QueueCounts:
        """Return all counts with one call, whose cost does not depend on the length of the queue."""
        waiting, running, delayed, workers, oldest_ms, unoffered = self._queue.scripts.run("count_jobs")
        return QueueCounts(waiting, running, delayed, workers, oldest_ms / 1000, unoffered)

    def memory_share(self) -> float:
        """Return the share of its maxmemory that Redis uses; 0 where it has no maxmemory."""
        with translate_errors():
            info: dict[str, Any] = self._queue.redis.info("memory")
        most = info.get("maxmemory", 0)
        return info["used_memory"] / most if most else 0.0

    def recently_ended(self) -> list[str]:
        """Return the 30 jobs that ended last, the newest first."""
        with translate_errors():
            ended = self._queue.redis.zrevrange(f"{self._queue.prefix}ended", 0, _RECENT - 1)
        return [songhash.decode() for songhash in cast(list[bytes], ended)]
