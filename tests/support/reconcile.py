"""Sweeps and full comparisons in this process, for tests that do not wait for them."""

from __future__ import annotations

from itertools import islice

from msas.queue import Leader, Queue
from msas.store import Store
from msas.upkeep.comparison import Comparison
from msas.upkeep.sweep import Sweep
from tests.support.rig import Rig

LEADER = "the test"
PAGE = 2
DAY = 86_400.0


def reconcile(queue: Queue, store: Store, keep_days: float = 7, grace_seconds: float = 3600) -> dict[str, int]:
    """Look at everything that was ever received or removed, and compare Redis with the store from the beginning.

    Returns how many jobs were `enqueued`, `published`, `lost` and `removed`. Another leader loses its leadership.
    """
    leader = Leader(queue, 60, LEADER)
    if not leader.acquire_leadership():
        queue.redis.delete(f"{queue.prefix}leader")
    leader.record_upkeep(run_id="", swept_at=0)
    sweep = Sweep(queue, store, leader, keep_days=keep_days, first_check_seconds=0)
    sweep.run()
    comparison = Comparison(queue, store, leader, grace_seconds=grace_seconds, pause=lambda _: None)
    for _ in comparison.run():
        pass
    counts = sweep.counts + comparison.counts
    return {name: counts[name] for name in ("enqueued", "published", "lost", "removed")}


class Keeper:
    """A process that may lead, and compares in pages of two songs."""

    def __init__(self, rig: Rig, grace_seconds: float = 3600.0) -> None:
        self.leader, self._rig = Leader(rig.queue, 600), rig
        self.pauses: list[float] = []
        self.comparison = Comparison(
            rig.queue,
            rig.store,
            self.leader,
            page=PAGE,
            grace_seconds=grace_seconds,
            pause=self.pauses.append,
        )

    def run(self, pages: int | None = None) -> int:
        """Compare, so many pages at most; return how many there were."""
        assert self.leader.acquire_leadership()
        return sum(1 for _ in islice(self.comparison.run(), pages))


def lost_jobs(rig: Rig, count: int) -> list[str]:
    """Store songs and messages of jobs that Redis does not know; return their songhashes in order."""
    songs = sorted(rig.accept(count=count))
    rig.queue.redis.flushall()
    return songs


def known(rig: Rig, songs: list[str]) -> list[str]:
    return [songhash for songhash, status in rig.queue.statuses(songs).items() if status]
