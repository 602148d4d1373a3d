"""Measures how many bytes of Redis' memory a song takes while it waits, and once it is done."""

from __future__ import annotations

from dataclasses import replace

from redis import Redis

from bench.material import Setup
from bench.own_redis import make_job, own_redis
from msas.queue import Consumer, connect

SONGS = 5_000


def measure(setup: Setup) -> dict[str, float]:
    """An API key sends songs, and a worker does them all."""
    with own_redis(setup.out / "redis") as settings:
        consumer, redis = Consumer.from_settings(settings), connect(settings)
        _enqueue(consumer, range(SONGS, SONGS + 100))  # what Redis and the scripts need once
        _do(consumer, 100)
        before = _used(redis)
        _enqueue(consumer, range(SONGS))
        waiting = _used(redis)
        _do(consumer, SONGS)
        done = _used(redis)
    return {"redis_bytes_waiting": (waiting - before) / SONGS, "redis_bytes_done": (done - before) / SONGS}


def _enqueue(consumer: Consumer, numbers: range) -> None:
    for number in numbers:
        consumer.queue.enqueue(replace(make_job(number), owner="alice", seconds=240.0))


def _do(consumer: Consumer, count: int) -> None:
    for _ in range(count):
        lease = consumer.claim_next()
        assert lease
        assert lease.succeed() == "ok"


def _used(redis: Redis) -> int:
    """Return the bytes that all keys take; not what Redis uses besides, which comes and goes."""
    return sum(int(redis.memory_usage(key, samples=0) or 0) for key in redis.scan_iter(count=1000))
