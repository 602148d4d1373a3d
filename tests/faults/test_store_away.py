"""The store is away for longer than the stall limit, at each stage of a song. FAULTS.md numbers the faults."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from local.child import Child
from tests.support.faultproxy import FaultProxy
from tests.support.processes import eventually
from tests.support.rig import Rig, go_on, is_stopped, song

STALL = 2.0  # seconds; long enough for a slow machine to come from one block of the song to the next
OUTAGE = 1.5 * STALL
SECONDS = 70.0  # of song: its stems are uploaded in three parts


@pytest.fixture
def store_proxy(rig: Rig) -> Iterator[FaultProxy]:
    host, port = rig.settings.minio_host.split(":")
    proxy = FaultProxy((host, int(port)))
    yield proxy
    proxy.close()


def start_worker(rig: Rig, proxy: FaultProxy, **variables: str) -> Child:
    """Start a worker that reaches the store through the proxy."""
    settings = replace(rig.settings, minio_host=f"127.0.0.1:{proxy.port}", stall_seconds=STALL)
    return rig.worker(settings, **variables)


def go_away(proxy: FaultProxy) -> None:
    proxy.refusing = True
    proxy.cut()


def stay_away(proxy: FaultProxy) -> None:
    """Let the server behind the proxy be away for OUTAGE; it is away already."""
    until = time.monotonic() + OUTAGE
    eventually(lambda: time.monotonic() > until, 10 * OUTAGE)
    proxy.calm()


@pytest.mark.parametrize("point", ["fetch_song:before", "put_stem:before", "put_report:before", "settle:before"])
def test_a_store_away_for_longer_than_the_stall_limit_costs_neither_an_attempt_nor_a_separation(
    rig: Rig, store_proxy: FaultProxy, point: str
) -> None:
    """Fault 61: while the song is fetched, its stems and its report are stored, and the job is settled."""
    worker = start_worker(rig, store_proxy, CRASH_AT=f"{point}:STOP")
    [song] = rig.accept()
    eventually(lambda: is_stopped(worker))

    go_away(store_proxy)
    go_on(worker)
    stay_away(store_proxy)
    rig.reclaim_until(lambda: rig.over([song]))
    rig.check([song])

    assert worker.alive
    assert rig.job(song).attempt == 1
    assert rig.separations(song) == 1


def test_a_store_away_while_a_song_is_separated_costs_neither_an_attempt_nor_a_separation(
    rig: Rig, store_proxy: FaultProxy
) -> None:
    """Fault 61."""
    worker = start_worker(rig, store_proxy)
    [song] = rig.accept("sleep-2")
    eventually(lambda: rig.running(song, "separating"))

    go_away(store_proxy)
    stay_away(store_proxy)
    rig.finish([song], 60)

    assert worker.alive
    assert rig.job(song).attempt == 1
    assert rig.separations(song) == 1


@pytest.mark.parametrize("request_without_reply", [b"partNumber=2", b"<CompleteMultipartUpload"])
def test_a_store_that_goes_away_in_an_upload_of_several_parts_gets_the_rest_when_it_is_back(
    rig: Rig, store_proxy: FaultProxy, request_without_reply: bytes
) -> None:
    """Fault 61. It has done what it was asked last, but could not say so."""
    content = song(61, SECONDS)
    store_proxy.lose_reply_to = request_without_reply
    worker = start_worker(rig, store_proxy)
    long = rig.accept_content(content)
    eventually(lambda: store_proxy.lose_reply_to is None, 60)

    go_away(store_proxy)
    eventually(lambda: "waiting for store" in worker.log.read_text())
    stay_away(store_proxy)
    rig.finish([long], 60)

    assert worker.alive
    assert rig.job(long).attempt == 1
    assert rig.separations(long) == 1
