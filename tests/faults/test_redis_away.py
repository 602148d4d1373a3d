"""Redis is away for longer than the stall limit, at each stage of a song. FAULTS.md numbers the faults."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from local.child import Child
from tests.support.faultproxy import FaultProxy
from tests.support.processes import eventually
from tests.support.rig import Rig, go_on, is_stopped

STALL = 2.0  # seconds; long enough for a slow machine to come from one block of the song to the next
OUTAGE = 1.5 * STALL  # shorter than the lease of the rig


@pytest.fixture
def redis_proxy(rig: Rig) -> Iterator[FaultProxy]:
    proxy = FaultProxy(("127.0.0.1", rig.own_redis_port))
    yield proxy
    proxy.close()


def start_worker(rig: Rig, proxy: FaultProxy, **variables: str) -> Child:
    """Start a worker that reaches Redis through the proxy."""
    return rig.worker(replace(rig.settings, redis_port=proxy.port, stall_seconds=STALL), **variables)


def stay_away(proxy: FaultProxy) -> None:
    """Let the server behind the proxy be away for OUTAGE; it is away already."""
    until = time.monotonic() + OUTAGE
    eventually(lambda: time.monotonic() > until, 10 * OUTAGE)
    proxy.calm()


def go_away(proxy: FaultProxy) -> None:
    proxy.refusing = True
    proxy.cut()


@pytest.mark.parametrize("point", ["fetch_song:before", "put_stem:before", "put_report:before", "settle:before"])
def test_redis_away_for_longer_than_the_stall_limit_costs_neither_an_attempt_nor_a_separation(
    rig: Rig, redis_proxy: FaultProxy, point: str
) -> None:
    """Fault 60: while the song is fetched, its stems and its report are stored, and the job is settled."""
    worker = start_worker(rig, redis_proxy, CRASH_AT=f"{point}:STOP")
    [song] = rig.accept()
    eventually(lambda: is_stopped(worker))

    go_away(redis_proxy)
    go_on(worker)
    stay_away(redis_proxy)
    rig.finish([song], 60)

    assert worker.alive
    assert rig.job(song).attempt == 1
    assert rig.separations(song) == 1


def test_redis_away_while_a_song_is_separated_costs_neither_an_attempt_nor_a_separation(
    rig: Rig, redis_proxy: FaultProxy
) -> None:
    """Fault 60."""
    worker = start_worker(rig, redis_proxy)
    [song] = rig.accept("sleep-2")
    eventually(lambda: rig.running(song, "separating"))

    go_away(redis_proxy)
    stay_away(redis_proxy)
    rig.finish([song], 60)

    assert worker.alive
    assert rig.job(song).attempt == 1
    assert rig.separations(song) == 1
