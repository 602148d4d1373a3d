"""Measures what the upkeep costs while nothing changes: a sweep, and a full comparison of Redis with the store."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from minio.datatypes import Object

from bench.material import Setup
from bench.own_redis import own_redis
from msas.queue import Leader, Queue, UpkeepRecord
from msas.settings import Settings
from msas.store import Store
from msas.upkeep.comparison import Comparison
from msas.upkeep.sweep import Sweep

FEW, MANY = 1_000, 100_000  # songs that have succeeded
TURNS = 100
_BATCH = 5_000
_MADE = ("bass.mp3", "drums.mp3", "mixture.mp3", "other.mp3", "peaks.json", "report.json", "vocals.mp3")


def measure(setup: Setup) -> dict[str, float]:
    """Let sweeps over few and many unchanged songs take turns; then compare many with a store of twice as many."""
    return compare_sizes(setup.out, FEW, MANY)


def compare_sizes(folder: Path, few: int, many: int) -> dict[str, float]:
    """Measure with so many songs in Redis."""
    with ExitStack() as stack:
        sides = [_Side(stack.enter_context(own_redis(folder / f"redis-{count}")), count) for count in (few, many)]
        seconds: list[list[float]] = [[], []]
        for _ in range(TURNS):
            for side, found in zip(sides, seconds, strict=True):
                found.append(_seconds(side.sweep))
        first, second = (statistics.median(found) for found in seconds)
        listed = sides[1].listing
        compare_seconds = _seconds(sides[1].compare)
        record = UpkeepRecord(sides[1].queue).progress()
        assert record.stored_bytes == listed.objects, "the comparison saw every object"
    return {
        f"sweep_{many}_vs_{few}": second / first,
        "sweep_ms": second * 1000,
        f"compare_{listed.songs}_s": compare_seconds,
        "compare_songs_per_s": listed.songs / compare_seconds,
    }


class _Listing:
    """Stands in for an S3 client: it lists `songs` songs and what was made of them, in objects of one byte.

    Each second one has no report: it has just been stored, and Redis does not know it.
    """

    def __init__(self, songs: int) -> None:
        self.songs, self._stored = songs, datetime.now(UTC)

    @property
    def objects(self) -> int:
        return self.songs * (1 + len(_MADE)) - self.songs // 2

    def bucket_exists(self, _bucket: str) -> bool:
        return True

    def list_objects(self, bucket: str, prefix: str = "", start_after: str | None = None) -> Iterator[Object]:
        assert not prefix, "nothing is looked up song by song"
        for number in range(self.songs):
            songhash = f"{number:056x}"
            keys = [songhash] if bucket == "queue" else [f"{songhash}-{name}" for name in _MADE]
            for key in keys:
                if key > (start_after or "") and not (number % 2 and key.endswith("report.json")):
                    yield Object(bucket, key, last_modified=self._stored, etag="-", size=1)


class _Side:
    """A Redis in which so many songs have succeeded, each second one of those that the store lists."""

    def __init__(self, settings: Settings, count: int) -> None:
        self.queue, self.listing = Queue.from_settings(settings), _Listing(2 * count)
        store, leader = Store(cast(Any, self.listing)), Leader(self.queue, 600)
        assert leader.acquire_leadership()
        self._fill(count)
        self._sweep = Sweep(self.queue, store, leader, keep_days=7, first_check_seconds=60)
        self._comparison = Comparison(self.queue, store, leader, pause=lambda _: None)
        leader.record_upkeep(swept_at=self.queue.now(), run_id=UpkeepRecord(self.queue).run_id())

    def sweep(self) -> None:
        self._sweep.run()
        assert not self._sweep.counts

    def compare(self) -> None:
        for _ in self._comparison.run():
            pass

    def _fill(self, count: int) -> None:
        script: Any = self.queue.scripts._scripts["restore_result"]
        hour_ago = self.queue.now() - 3_600_000
        for start in range(0, count, _BATCH):
            with self.queue.redis.pipeline(transaction=False) as pipeline:
                for number in range(start, min(start + _BATCH, count)):
                    script(keys=[self.queue.name], args=[f"{2 * number:056x}", hour_ago, ""], client=pipeline)
                pipeline.execute()


def _seconds(call: Callable[[], object]) -> float:
    since = time.perf_counter()
    call()
    return time.perf_counter() - since
