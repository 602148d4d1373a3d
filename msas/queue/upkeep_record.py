"""The state of the upkeep in Redis: songs to check, progress of the comparison, bytes in the store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from msas.queue.connection import translate_errors
from msas.queue.queue import Queue

Span = tuple[int, int]  # after the first and until the second, in ms of Redis' clock


@dataclass(frozen=True)
class Progress:
    """Times are in ms of Redis' clock; 0: never.

    `run_id` is that of the Redis that was compared with the store, `compared_at` the time of the last complete
    comparison. `cursor` is the key after which an interrupted comparison continues, '' where there is none; `bytes` is
    the size of the objects that it has listed; `skipped` counts the songs that it, or the last complete one, could not
    compare. `stored_bytes` is the size of all objects, None before the first count at `counted_at`. `swept_at` is the
    time of the last sweep.
    """

    run_id: str = ""
    compared_at: int = 0
    cursor: str = ""
    bytes: int = 0
    skipped: int = 0
    stored_bytes: int | None = None
    counted_at: int = 0
    swept_at: int = 0


class UpkeepRecord:
    """Methods raise QueueUnavailable where Redis does not answer."""

    def __init__(self, queue: Queue) -> None:
        self._queue, self._redis = queue, queue.redis

    def progress(self) -> Progress:
        """Return the progress of the upkeep."""
        with translate_errors():
            found = cast(dict[bytes, bytes], self._redis.hgetall(f"{self._queue.prefix}compared"))
        fields: dict[str, Any] = {name.decode(): value.decode() for name, value in found.items()}
        for name in fields.keys() - {"run_id", "cursor"}:
            fields[name] = int(fields[name])
        return Progress(**fields)

    def run_id(self) -> str:
        """Return the identity of the running Redis, which changes at each restart."""
        with translate_errors():
            return str(self._redis.info("server")["run_id"])

    def note_received(self, songhash: str, size: int) -> None:
        """Record that a song of `size` bytes and its job's message are about to be stored."""
        self._queue.scripts.run("note_received", songhash, size)

    def note_stored(self, more: int) -> None:
        """Add `more` to the number of bytes in the store; it may be negative."""
        if more:
            self._queue.scripts.run("add_stored_bytes", more)

    def received(self, spans: Sequence[Span]) -> set[str]:
        """Return the songs that were received in these spans of time and are still to be checked."""
        return self._within("received", spans)

    def removed(self, spans: Sequence[Span]) -> set[str]:
        """Return the jobs that were removed in these spans of time and not sent again."""
        return self._within("removed", spans)

    def ended(self, spans: Sequence[Span]) -> set[str]:
        """Return the jobs that ended in these spans of time."""
        return self._within("ended", spans)

    def _within(self, name: str, spans: Sequence[Span]) -> set[str]:
        with translate_errors(), self._redis.pipeline(transaction=False) as pipeline:
            for after, until in spans:
                pipeline.zrangebyscore(f"{self._queue.prefix}{name}", f"({after}", until)
            return {songhash.decode() for found in pipeline.execute() for songhash in found}

    def forget_received(self, songhashes: Iterable[str]) -> None:
        """End the checks of these songs."""
        if found := list(songhashes):
            with translate_errors():
                self._redis.zrem(f"{self._queue.prefix}received", *found)
