"""Faults of the connection to Redis: lost replies, silence, a failover. FAULTS.md numbers the faults."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from redis import Redis
from redis.exceptions import RedisError

from local import Service, servers
from local.child import Child
from msas.job import Status
from msas.queue import Queue
from tests.support.faultproxy import FaultProxy
from tests.support.observer import begun
from tests.support.processes import eventually
from tests.support.rig import Rig


@pytest.fixture
def worker(rest_rig: Rig) -> Child:
    """A worker that has separated a song, so that Redis knows the scripts."""
    worker = rest_rig.worker()
    rest_rig.finish(rest_rig.accept())
    return worker


def name_in_request(rig: Rig, call: str) -> bytes:
    """Return the bytes that only a request for this script, or command, holds."""
    script = rig.queue.scripts._scripts.get(call)
    return str(script.sha).encode() if script else call.upper().encode()


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    "call",
    [
        "check_bounds",
        "look_up",
        "enqueue",
        "list_jobs",
        "take_next",
        "claim",
        "renew",
        "settle",
        "reclaim",
        "dead_letter",
    ],
)
def test_a_lost_reply_before_a_song_is_done_costs_nothing(rest_rig: Rig, proxy: FaultProxy, call: str) -> None:
    """Fault 22."""
    proxy.lose_reply_to = name_in_request(rest_rig, call)

    rest_rig.queue.redis.lpush(rest_rig.queue.name, b"garbage")
    answer = rest_rig.posted(model="sleep-0.2")
    queue_answer = requests.get(f"{rest_rig.url}/apiv1/queue", timeout=30)
    eventually(lambda: proxy.lose_reply_to is None)
    songhash = answer.json()["hash"]
    rest_rig.finish([songhash], 60)

    assert answer.status_code == 200
    assert queue_answer.status_code == 200
    assert rest_rig.job(songhash).attempt == 1
    assert rest_rig.separations(songhash) == 1
    assert len(rest_rig.dead()) == 1


def test_a_song_taken_without_a_reply_starts_before_later_songs(
    rest_rig: Rig, proxy: FaultProxy, worker: Child
) -> None:
    """Fault 22."""
    proxy.lose_reply_to = name_in_request(rest_rig, "blmove")
    eventually(lambda: proxy.lose_reply_to is None)  # the worker waits for a song, and will not get the reply

    songs = rest_rig.accept(count=3)
    rest_rig.finish(songs, 60)

    assert [songhash for songhash in begun(worker.log.read_text()) if songhash in songs] == songs
    assert [rest_rig.job(songhash).attempt for songhash in songs] == [1, 1, 1]


@pytest.fixture
def finished(rest_rig: Rig) -> str:
    """A song that is done."""
    songhash: str = rest_rig.posted().json()["hash"]
    rest_rig.finish([songhash])
    return songhash


def remove(rig: Rig, path: str) -> int:
    return requests.delete(f"{rig.url}/apiv1/remove/{path}", timeout=30).status_code


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("call", ["cancel", "delete_cancelled"])
def test_a_lost_reply_while_a_song_is_removed_costs_nothing(
    rest_rig: Rig, proxy: FaultProxy, finished: str, call: str
) -> None:
    """Fault 22."""
    proxy.lose_reply_to = name_in_request(rest_rig, call)

    assert remove(rest_rig, finished) == 200

    assert proxy.lose_reply_to is None
    assert rest_rig.queue.job(finished) is None
    assert rest_rig.objects(finished) == []


@pytest.mark.usefixtures("worker")
def test_a_lost_reply_while_one_stem_is_removed_costs_nothing(rest_rig: Rig, proxy: FaultProxy, finished: str) -> None:
    """Fault 22."""
    proxy.lose_reply_to = name_in_request(rest_rig, "note_stem_removed")

    assert remove(rest_rig, f"{finished}/drums") == 200

    assert proxy.lose_reply_to is None
    assert len(rest_rig.job(finished).tracks) == 3


@pytest.mark.usefixtures("worker")
def test_a_lost_reply_while_a_result_is_published_again_costs_nothing(
    rest_rig: Rig, proxy: FaultProxy, finished: str
) -> None:
    """Fault 22."""
    rest_rig.keeper()
    proxy.lose_reply_to = name_in_request(rest_rig, "restore_result")

    rest_rig.queue.redis.delete(rest_rig.queue.job_key(finished))
    eventually(lambda: proxy.lose_reply_to is None)
    eventually(lambda: rest_rig.queue.job(finished))

    assert rest_rig.job(finished).status is Status.SUCCEEDED
    assert rest_rig.separations(finished) == 1


def test_a_worker_cut_off_for_less_than_its_lease_finishes_its_song(
    rest_rig: Rig, proxy: FaultProxy, worker: Child
) -> None:
    """Fault 23."""
    [song] = rest_rig.accept("sleep-1")
    eventually(lambda: rest_rig.running(song, "separating"))

    proxy.silent = True
    eventually(lambda: proxy.held)  # its heartbeat meets the silence
    proxy.silent = False
    rest_rig.finish([song], 60)

    assert rest_rig.job(song).attempt == 1
    assert rest_rig.separations(song) == 1
    assert worker.alive


def test_a_song_whose_worker_is_cut_off_beyond_its_lease_is_done_elsewhere_once(
    rest_rig: Rig, proxy: FaultProxy, worker: Child
) -> None:
    """Fault 24."""
    [song] = rest_rig.accept("sleep-2")
    eventually(lambda: rest_rig.running(song, "separating"))
    proxy.silent = True
    eventually(lambda: proxy.held)

    rival = rest_rig.worker(replace(rest_rig.settings, redis_port=rest_rig.own_redis_port))
    rest_rig.expire_lease(worker)
    rest_rig.reclaim_until(lambda: rest_rig.job(song).attempt == 2)
    proxy.silent = False
    eventually(lambda: f'"lease lost", "songhash": "{song}"' in worker.log.read_text())
    rest_rig.finish([song], 60)

    said = f'"job succeeded", "songhash": "{song}"'
    assert said in rival.log.read_text()
    assert said not in worker.log.read_text()
    assert rest_rig.separations(song) == 2
    assert worker.alive


def test_a_failover_that_loses_the_last_writes_loses_no_job_and_no_result(
    service: Service, spare_buckets: dict[str, str], tmp_path: Path
) -> None:
    """Fault 20."""
    with rig_with_replica(service, spare_buckets, tmp_path) as (rig, proxy, replica, replica_port):
        worker = rig.worker()
        rig.keeper()
        rig.ready(worker)
        replica.replicaof("NO", "ONE")  # from here on the replica knows nothing new
        done = rig.accept()
        rig.finish(done)
        later = [*rig.accept("sleep-1"), *rig.accept(count=3)]
        eventually(lambda: rig.running(later[0], "separating"))

        rig.redis.process.kill()
        rig.redis.process.wait()
        proxy.target = ("127.0.0.1", replica_port)
        proxy.cut()
        rig.queue = Queue.from_settings(replace(rig.settings, redis_port=replica_port))
        eventually(lambda: all(rig.queue.job(each) for each in done + later))
        rig.finish(done + later, 60)

        assert [rig.separations(each) for each in done + later[1:]] == [1] * 4
        assert worker.alive


@contextmanager
def rig_with_replica(
    service: Service, buckets: dict[str, str], folder: Path
) -> Iterator[tuple[Rig, FaultProxy, Redis, int]]:
    """A rig whose processes reach Redis through the proxy; a replica of that Redis, caught up, and its port."""
    proxy, port = FaultProxy(("127.0.0.1", 0)), servers.free_ports(1)[0]
    flags = ("--repl-diskless-sync-delay", "0")
    with Rig(folder / "rig", service.settings, flags, redis_port=proxy.port, lease_seconds=6.0, **buckets) as rig:
        proxy.target = ("127.0.0.1", rig.own_redis_port)
        (rig.folder / "replica").mkdir()
        rig.start("replica", servers.redis_command(port, rig.folder / "replica"))
        with Redis(port=port) as replica:
            eventually(lambda: answers(replica))
            replica.replicaof("127.0.0.1", str(rig.own_redis_port))
            eventually(lambda: replica.info("replication")["master_link_status"] == "up")
            yield rig, proxy, replica, port
    proxy.close()


def answers(redis: Redis) -> bool:
    try:
        return bool(redis.ping())
    except RedisError:
        return False
