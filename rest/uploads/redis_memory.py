"""Refuses songs before their upload while Redis uses more than 80 % of its memory."""

from __future__ import annotations

import time

from msas.errors import RedisFull
from msas.queue import Queue
from msas.queue.stats import QueueStats

_FRESH_SECONDS = 2.0  # one look at Redis serves all requests for so long
_MOST = 0.8  # of maxmemory


class RedisMemory:
    """One for each process."""

    def __init__(self, queue: Queue) -> None:
        self._stats = QueueStats(queue)
        self._read_at, self._share = -_FRESH_SECONDS, 0.0

    def check(self) -> None:
        """Raise RedisFull where Redis uses more than 80 % of the memory that it may."""
        if time.monotonic() - self._read_at >= _FRESH_SECONDS:
            self._share = self._stats.memory_share()
            self._read_at = time.monotonic()
        if self._share > _MOST:
            raise RedisFull(
                f"Redis is nearly full: it uses {self._share:.0%} of its maxmemory; send the song again later, once "
                "songs that ended were removed."
            )
