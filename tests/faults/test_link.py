"""The connection to Redis loses replies, falls silent, or leads elsewhere. Numbers: FAULTS.md."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from redis import Redis
from redis.exceptions import RedisError

from local import Service, servers
from local.child import Child
from msas.job import State
from msas.queue import Queue
from tests.support.faultproxy import FaultProxy
from tests.support.observer import begun
from tests.support.processes import eventually
from tests.support.rig import BOUND, LEASE, RECONCILE, Rig

SLACK = 3.0


@pytest.fixture(scope="module")
def proxy() -> Iterator[FaultProxy]:
    proxy = FaultProxy(("127.0.0.1", 0))
    yield proxy
    proxy.close()


@pytest.fixture(scope="module")
def rig(service: Service, tmp_path_factory: pytest.TempPathFactory, proxy: FaultProxy) -> Iterator[Rig]:
    """A rig whose REST and worker, but not the rig itself, reach Redis through the proxy."""
    with Rig(tmp_path_factory.mktemp("link") / "rig", service.settings, redis_port=proxy.port) as rig:
        proxy.target = ("127.0.0.1", rig.own_redis_port)
        rig.rest()
        yield rig


@pytest.fixture(scope="module")
def worker(rig: Rig) -> Child:
    worker = rig.worker()
    rig.ready(worker)
    rig.finish(rig.accept())  # from here on Redis knows the scripts
    return worker


def name_in_request(rig: Rig, call: str) -> bytes:
    """Return what a request for this script, or command, holds and no other does."""
    script = rig.queue.scripts._scripts.get(call)
    return str(script.sha).encode() if script else call.upper().encode()


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("call", ["enqueue", "overview", "lindex", "claim", "beat", "settle", "tick", "bury"])
def test_22_a_reply_lost_on_a_song_s_way_costs_nothing(rig: Rig, proxy: FaultProxy, call: str) -> None:
    rig.queue.redis.delete(f"{rig.queue.prefix}dead")
    proxy.lose_reply_to = name_in_request(rig, call)
    rig.queue.redis.lpush(rig.queue.name, b"garbage")
    answer = rig.posted(model="sleep-0.2")
    assert answer.status_code == 200
    assert requests.get(f"{rig.url}/apiv1/queue", timeout=10).status_code == 200
    songhash = answer.json()["hash"]
    eventually(lambda: proxy.lose_reply_to is None, BOUND)
    rig.finish([songhash], BOUND + SLACK)
    assert (rig.status(songhash).attempt, rig.separations(songhash)) == (1, 1)
    assert len(rig.dead()) == 1


def test_22_a_song_whose_taking_was_never_answered_is_begun_before_any_later_one(
    rig: Rig, proxy: FaultProxy, worker: Child
) -> None:
    proxy.lose_reply_to = name_in_request(rig, "blmove")
    eventually(lambda: proxy.lose_reply_to is None, BOUND)  # it listens, and will not hear
    songs = rig.accept(count=3)
    rig.finish(songs, BOUND + SLACK)
    assert [songhash for songhash in begun(worker.log.read_text()) if songhash in songs] == songs
    assert [rig.status(songhash).attempt for songhash in songs] == [1, 1, 1]


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("call", ["cancel", "drop", "prune", "publish"])
def test_22_a_reply_lost_after_a_song_is_done_costs_nothing(rig: Rig, proxy: FaultProxy, call: str) -> None:
    songhash = rig.posted().json()["hash"]
    rig.finish([songhash], BOUND + SLACK)
    proxy.lose_reply_to = name_in_request(rig, call)
    if call == "publish":
        rig.queue.redis.delete(rig.queue.job_key(songhash))
        eventually(lambda: rig.queue.status(songhash), 2 * RECONCILE + SLACK)
        assert rig.status(songhash).state is State.SUCCEEDED
    if call == "prune":
        assert requests.delete(f"{rig.url}/apiv1/remove/{songhash}/drums", timeout=10).status_code == 200
        assert len(rig.status(songhash).tracks) == 3
    assert requests.delete(f"{rig.url}/apiv1/remove/{songhash}", timeout=10).status_code == 200
    assert proxy.lose_reply_to is None
    # A sweep that began before may look at it once more.
    eventually(lambda: (rig.queue.status(songhash), rig.objects(songhash)) == (None, []), RECONCILE)


def test_23_a_worker_cut_off_for_less_than_its_lease_finishes_its_song(
    rig: Rig, proxy: FaultProxy, worker: Child
) -> None:
    [song] = rig.accept("sleep-1")
    eventually(lambda: rig.running(song, "separating"))
    proxy.silent = True
    time.sleep(LEASE / 2)  # the partition itself
    proxy.silent = False
    rig.finish([song], BOUND)
    assert (rig.status(song).attempt, rig.separations(song), worker.alive) == (1, 1, True)


def test_24_a_song_whose_worker_is_cut_off_for_longer_is_done_elsewhere_once(
    rig: Rig, proxy: FaultProxy, worker: Child
) -> None:
    [song] = rig.accept("sleep-2")
    eventually(lambda: rig.running(song, "separating"))
    rival = rig.worker(replace(rig.settings, redis_port=rig.own_redis_port))
    rig.ready(rival)
    proxy.silent = True
    eventually(lambda: rig.status(song).attempt == 2, BOUND + LEASE)
    proxy.silent = False
    eventually(lambda: f'"lease lost", "songhash": "{song}"' in worker.log.read_text(), BOUND)
    rig.finish([song], 2 + SLACK)
    said = f'"job succeeded", "songhash": "{song}"'
    assert [said in each.log.read_text() for each in (worker, rival)] == [False, True]
    assert (rig.separations(song), worker.alive) == (2, True)


def test_20_a_failover_that_loses_the_last_writes_loses_no_job_and_no_result(service: Service, tmp_path: Path) -> None:
    proxy, at_once = FaultProxy(("127.0.0.1", 0)), ("--repl-diskless-sync-delay", "0")
    with Rig(tmp_path / "rig", service.settings, at_once, redis_port=proxy.port) as rig:
        proxy.target = ("127.0.0.1", rig.own_redis_port)
        worker = rig.worker()
        replica, port = second_redis(rig)
        rig.ready(worker)
        replica.replicaof("NO", "ONE")  # from here on the replica knows nothing new
        done = rig.accept()
        rig.finish(done)
        later = [*rig.accept("sleep-1"), *rig.accept(count=4)]
        eventually(lambda: rig.running(later[0], "separating"))
        rig.redis.process.kill()
        rig.redis.process.wait()
        proxy.target = ("127.0.0.1", port)
        proxy.cut()
        rig.queue = Queue.from_settings(replace(rig.settings, redis_port=port))
        eventually(lambda: all(rig.queue.status(each) for each in done + later), 2 * RECONCILE + SLACK)
        rig.finish(done + later, BOUND + SLACK)
        assert [rig.separations(each) for each in done + later[1:]] == [1] * 5
        assert worker.alive
    proxy.close()


def second_redis(rig: Rig) -> tuple[Redis, int]:
    """Start a replica of the rig's Redis; return it, caught up, and its port."""
    port = servers.free_ports(1)[0]
    folder = rig.folder / "replica"
    folder.mkdir()
    rig.start("replica", servers.redis_command(port, folder))
    replica = Redis(port=port)
    eventually(lambda: answers(replica), 10)
    replica.replicaof("127.0.0.1", str(rig.own_redis_port))
    eventually(lambda: replica.info("replication")["master_link_status"] == "up", 10)
    return replica, port


def answers(redis: Redis) -> bool:
    try:
        return bool(redis.ping())
    except RedisError:
        return False
