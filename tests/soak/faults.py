"""The faults that the soak injects, one at a time: each is a function that does it to the processes."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from contextlib import suppress

from msas.errors import Problem
from tests.soak.fleet import Fleet
from tests.support.faultproxy import FaultProxy
from tests.support.in_process import stored_messages
from tests.support.rig import LEASE

STALL = 6.0  # seconds without progress, after which a worker ends itself
_FEW_MODELS = "quick kill-1"

Fault = Callable[[Fleet], None]
FAULTS: dict[str, Fault] = {}


def _fault(function: Fault) -> Fault:
    FAULTS[function.__name__] = function
    return function


@_fault
def worker_killed(fleet: Fleet) -> None:
    fleet.kill(fleet.dice.choice(fleet.workers))


@_fault
def worker_told_to_stop(fleet: Fleet) -> None:
    fleet.dice.choice(fleet.workers).process.terminate()


@_fault
def worker_told_and_killed(fleet: Fleet) -> None:
    worker = fleet.dice.choice(fleet.workers)
    worker.process.terminate()
    time.sleep(fleet.dice.uniform(0, 0.2))
    worker.process.kill()


@_fault
def worker_paused(fleet: Fleet) -> None:
    fleet.pause(fleet.dice.choice(fleet.workers), fleet.dice.uniform(0.2, 3 * LEASE))


@_fault
def all_workers_killed(fleet: Fleet) -> None:
    for worker in fleet.workers:
        worker.process.kill()


@_fault
def redis_killed(fleet: Fleet) -> None:
    fleet.restart(fleet.rig.redis, fleet.dice.uniform(0, 3 * LEASE))


@_fault
def redis_paused(fleet: Fleet) -> None:
    fleet.pause(fleet.rig.redis, fleet.dice.uniform(0.1, 2 * LEASE))


@_fault
def redis_emptied(fleet: Fleet) -> None:
    with suppress(Exception):
        fleet.rig.queue.redis.flushall()


@_fault
def redis_scripts_flushed(fleet: Fleet) -> None:
    with suppress(Exception):
        fleet.rig.queue.redis.script_flush()


@_fault
def redis_connections_cut(fleet: Fleet) -> None:
    fleet.redis_proxy.cut()


@_fault
def redis_replies_lost(fleet: Fleet) -> None:
    fleet.redis_proxy.lose_replies = fleet.dice.randrange(1, 6)


@_fault
def redis_silent(fleet: Fleet) -> None:
    _silence(fleet.redis_proxy, fleet.dice.uniform(0.1, 2 * LEASE))


@_fault
def redis_slow(fleet: Fleet) -> None:
    _slow(fleet.redis_proxy, 0.2)


@_fault
def rest_killed(fleet: Fleet) -> None:
    fleet.restart(fleet.rest)


@_fault
def store_killed(fleet: Fleet) -> None:
    fleet.restart(fleet.store.child)


@_fault
def store_paused(fleet: Fleet) -> None:
    fleet.pause(fleet.store.child, fleet.dice.uniform(0.2, 4))


@_fault
def store_connections_cut(fleet: Fleet) -> None:
    fleet.store_proxy.cut()


@_fault
def store_replies_lost(fleet: Fleet) -> None:
    fleet.store_proxy.lose_replies = fleet.dice.randrange(1, 4)


@_fault
def store_slow(fleet: Fleet) -> None:
    _slow(fleet.store_proxy, 0.1)


@_fault
def duplicate_message(fleet: Fleet) -> None:
    with suppress(Problem):
        for songhash in stored_messages(fleet.rig.store):
            message = fleet.rig.store.message(songhash)
            if message:
                fleet.rig.queue.redis.lpush(fleet.rig.queue.name, message)
            return


@_fault
def garbage_message(fleet: Fleet) -> None:
    with suppress(Exception):
        fleet.rig.queue.redis.lpush(fleet.rig.queue.name, fleet.dice.randbytes(50))


@_fault
def long_outage(fleet: Fleet) -> None:
    """Redis or the store is away for longer than the stall limit: who waits for it does not hang."""
    proxy = fleet.dice.choice([fleet.redis_proxy, fleet.store_proxy])
    proxy.refusing = True
    proxy.cut()
    time.sleep(1.5 * STALL)
    proxy.refusing = False


@_fault
def full_redis(fleet: Fleet) -> None:
    """Redis may use no more memory than it does."""
    with suppress(Exception):
        redis = fleet.rig.queue.redis
        redis.config_set("maxmemory", redis.info("memory")["used_memory"])
        time.sleep(fleet.dice.uniform(2, 6))
        redis.config_set("maxmemory", 0)


@_fault
def full_store(fleet: Fleet) -> None:
    """The store takes nothing, as MinIO answers where its disk is full."""
    fleet.refusing.refuse = lambda method, _: (507, "XMinioStorageFull") if method in ("PUT", "POST") else None
    time.sleep(fleet.dice.uniform(2, 6))
    fleet.refusing.refuse = lambda *_: None


@_fault
def sick_worker(fleet: Fleet) -> None:
    """A worker fails each song, or has lost its GPU; it ends itself."""
    fleet.replace(fleet.dice.choice(fleet.workers), SICK=fleet.dice.choice(["raise", "cuda"]))


@_fault
def mixed_fleet(fleet: Fleet) -> None:
    """A worker has two models only; the first one keeps all."""
    fleet.replace(fleet.dice.choice(fleet.workers[1:]), HAS=_FEW_MODELS)


@_fault
def rolling_upgrade(fleet: Fleet) -> None:
    """Each process ends as it is told, and is replaced, one after the other."""
    for worker in list(fleet.workers):
        fleet.replace(worker)
    fleet.rest.process.terminate()
    with suppress(subprocess.TimeoutExpired):
        fleet.rest.process.wait(10)
    fleet.restart(fleet.rest)


def _silence(proxy: FaultProxy, seconds: float) -> None:
    proxy.silent = True
    time.sleep(seconds)
    proxy.silent = False


def _slow(proxy: FaultProxy, delay: float) -> None:
    proxy.delay = delay
    time.sleep(2)
    proxy.delay = 0
