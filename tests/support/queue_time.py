"""Moves a queue's times: leases expire and delays end when a test says so, not after a wait."""

from __future__ import annotations

from typing import cast

from msas.queue import Queue, UpkeepRecord


def expire_leases(queue: Queue, *workers: str) -> None:
    """Let the leases of these workers expire by Redis' clock, and make the next reclaim due."""
    now = queue.now()
    if workers:
        queue.redis.zadd(f"{queue.prefix}workers", dict.fromkeys(workers, now - 1), xx=True)
    queue.redis.set(f"{queue.prefix}tick", now - queue._lease_ms // 2)


def end_delays(queue: Queue) -> None:
    """Make every delayed job due, and the next reclaim as well."""
    for message in cast(list[bytes], queue.redis.zrange(f"{queue.prefix}delayed", 0, -1)):
        queue.redis.zadd(f"{queue.prefix}delayed", {message: 1})
    expire_leases(queue)


def put_delayed_in_line(queue: Queue) -> None:
    """End all delays and reclaim: the delayed jobs are in line again."""
    end_delays(queue)
    queue.reclaim()


def reclaim(queue: Queue, *workers: str) -> None:
    """Let the leases of these workers expire, and reclaim until what they held is in line again."""
    expire_leases(queue, *workers)
    queue.reclaim()
    put_delayed_in_line(queue)


def removed_jobs(queue: Queue) -> set[str]:
    """Return the jobs that were removed and not sent again."""
    return UpkeepRecord(queue).removed([(0, queue.now())])
