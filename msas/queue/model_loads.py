"""Which models workers download at the moment, and how far they are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import cast

from msas.queue.connection import translate_errors
from msas.queue.queue import Queue

_FRESH_MS = 30_000  # a worker that was killed says no more


@dataclass(frozen=True)
class ModelLoad:
    """The download of a model: bytes that are there, of so many; 0 before the model hub has told how many."""

    model: str
    bytes: int
    total_bytes: int


class ModelLoads:
    """Methods raise QueueUnavailable where Redis does not answer."""

    def __init__(self, queue: Queue) -> None:
        self._queue, self._redis, self._key = queue, queue.redis, f"{queue.prefix}loads"

    def record(self, load: ModelLoad) -> None:
        """Store how far a download is."""
        at = self._queue.now()
        with translate_errors():
            self._redis.hset(self._key, load.model, json.dumps([load.bytes, load.total_bytes, at]))

    def finish(self, model: str) -> None:
        """Forget a download that has ended."""
        with translate_errors():
            self._redis.hdel(self._key, model)

    def read(self) -> list[ModelLoad]:
        """Return the downloads that a worker told of within the last 30 s, by the model's name."""
        with translate_errors():
            found = cast(dict[bytes, bytes], self._redis.hgetall(self._key))
        if not found:
            return []
        told = [(name.decode(), *json.loads(content)) for name, content in sorted(found.items())]
        oldest = self._queue.now() - _FRESH_MS
        return [ModelLoad(name, done, total) for name, done, total, at in told if at >= oldest]
