"""Redis dies, forgets, is cut off, slow, full or demoted. Numbers: FAULTS.md."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from redis import Redis
from redis.exceptions import RedisError

from local import Service, servers
from msas.queue import Queue
from msas.settings import Settings
from tests.conftest import eventually
from tests.faultproxy import FaultProxy
from tests.rig import BOUND, LEASE, RECONCILE, Rig

SLACK = 3.0  # for processes to notice and to do what was held up


@contextmanager
def rig_behind_a_proxy(folder: Path, store: Settings, **variables: Any) -> Iterator[tuple[Rig, FaultProxy]]:
    """A rig whose Redis is reached through a proxy by all but the rig itself."""
    proxy = FaultProxy(("127.0.0.1", 0))
    with Rig(folder / "rig", store, redis_port=proxy.port, **variables) as rig:
        proxy.target = ("127.0.0.1", rig.own_redis_port)
        yield rig, proxy
    proxy.close()


@pytest.fixture
def rig(service: Service, tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path / "rig", service.settings) as running:
        yield running


@pytest.fixture
def spoiled(service: Service, tmp_path: Path) -> Iterator[tuple[Rig, FaultProxy]]:
    with rig_behind_a_proxy(tmp_path, service.settings) as both:
        yield both


def test_17_a_redis_that_is_killed_and_comes_back_loses_nothing_and_restarts_no_running_job(rig: Rig) -> None:
    workers = [rig.worker() for _ in range(2)]
    running = rig.accept("sleep-2", count=2)
    waiting = rig.accept(count=10)
    eventually(lambda: all(rig.running(song, "separating") for song in running))
    rig.redis.process.kill()
    rig.redis.process.wait()
    time.sleep(1.5 * LEASE)  # the outage itself
    rig.restart_redis()
    rig.finish(running + waiting)
    assert [rig.status(song).attempt for song in running] == [1, 1]
    assert [rig.separations(song) for song in running + waiting] == [1] * 12
    assert all(worker.alive for worker in workers)


def test_18_a_redis_that_comes_back_empty_loses_no_job_and_no_result(rig: Rig) -> None:
    rig.worker()
    done = rig.accept(count=3)
    rig.finish(done)
    running = rig.accept("sleep-1", count=1)
    waiting = rig.accept(count=5)
    eventually(lambda: rig.running(running[0], "separating"))
    rig.queue.redis.flushall()
    everything = done + running + waiting
    eventually(lambda: all(rig.queue.status(song) for song in everything), 2 * RECONCILE + SLACK)
    rig.finish(everything)
    assert [rig.separations(song) for song in done + waiting] == [1] * 8


def test_a_failed_job_that_redis_forgot_is_tried_again(rig: Rig) -> None:
    rig.worker()
    song = rig.accept_content(b"these are words" * 100)
    eventually(lambda: rig.over([song]))
    rig.queue.redis.flushall()
    eventually(lambda: rig.queue.status(song) and rig.over([song]), 2 * RECONCILE + SLACK)
    error = rig.status(song).error
    assert error
    assert error["code"] == "not_audio"


def test_19_a_redis_whose_log_was_cut_off_loses_no_job(rig: Rig) -> None:
    songs = rig.accept(count=5)
    rig.redis.process.kill()
    rig.redis.process.wait()
    [log] = (rig.folder / "redis").glob("appendonlydir/*.incr.aof")
    log.write_bytes(log.read_bytes()[:-200])
    rig.restart_redis()
    rig.worker()
    eventually(lambda: all(rig.queue.status(song) for song in songs), 2 * RECONCILE + SLACK)
    rig.finish(songs)


def test_20_a_failover_that_loses_the_last_writes_loses_no_job_and_no_result(
    spoiled: tuple[Rig, FaultProxy],
) -> None:
    rig, proxy = spoiled
    replica, port = second_redis(rig)
    rig.worker()
    rig.ready(rig.children[-1])
    replica.replicaof("NO", "ONE")  # from here on the replica knows nothing new
    done = rig.accept()
    later = rig.accept(count=5)
    eventually(lambda: rig.over(done))
    fail_over(rig, proxy, port)
    eventually(lambda: all(rig.queue.status(song) for song in done + later), 2 * RECONCILE + SLACK)
    rig.finish(done + later)
    assert rig.separations(done[0]) == 1


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


def fail_over(rig: Rig, proxy: FaultProxy, port: int) -> None:
    """Let the other Redis be the master, for workers, REST and the rig."""
    rig.redis.process.kill()
    proxy.target = ("127.0.0.1", port)
    proxy.cut()
    rig.queue = Queue.from_settings(replace(rig.settings, redis_port=port))


def test_21_workers_that_talk_to_a_demoted_master_wait_and_lose_nothing(rig: Rig) -> None:
    worker = rig.worker()
    songs = rig.accept("sleep-1", count=2)
    eventually(lambda: rig.running(songs[0], "separating"))
    rig.queue.redis.replicaof("127.0.0.1", str(servers.free_ports(1)[0]))
    eventually(lambda: "ReadOnlyError" in worker.log.read_text(), 10)
    rig.queue.redis.replicaof("NO", "ONE")
    rig.finish(songs)
    assert worker.alive
    assert "Traceback" not in worker.log.read_text()


def test_22_lost_replies_cost_nothing(spoiled: tuple[Rig, FaultProxy]) -> None:
    """Any of them; test_crash_points.py loses the reply of each call in turn."""
    rig, proxy = spoiled
    rig.worker()
    songs = rig.accept("sleep-0.2", count=8)
    for number in range(0, 8, 2):
        eventually(lambda n=number: rig.over(songs[:n]))  # type: ignore[misc]
        proxy.lose_replies = 1 + number // 2
    rig.finish(songs)
    assert {rig.separations(song) for song in songs} == {1}


def test_23_a_worker_cut_off_for_less_than_its_lease_finishes_its_song(spoiled: tuple[Rig, FaultProxy]) -> None:
    rig, proxy = spoiled
    rig.worker()
    [song] = rig.accept("sleep-1")
    eventually(lambda: rig.running(song, "separating"))
    proxy.silent = True
    time.sleep(LEASE / 2)  # the partition itself
    proxy.silent = False
    rig.finish([song])
    assert (rig.status(song).attempt, rig.separations(song)) == (1, 1)


def test_24_a_song_whose_worker_is_cut_off_for_longer_is_done_elsewhere_once(
    spoiled: tuple[Rig, FaultProxy],
) -> None:
    rig, proxy = spoiled
    cut_off = rig.worker()
    [song] = rig.accept("sleep-2")
    eventually(lambda: rig.running(song, "separating"))
    rig.ready(rival := rig.worker(replace(rig.settings, redis_port=rig.own_redis_port)))
    proxy.silent = True
    eventually(lambda: rig.status(song).attempt == 2, BOUND + LEASE)
    proxy.silent = False
    eventually(lambda: "lease lost" in cut_off.log.read_text(), 10)
    rig.finish([song])
    assert "job succeeded" in rival.log.read_text()
    assert "job succeeded" not in cut_off.log.read_text()


@pytest.mark.parametrize(
    "commands", [["SCRIPT FLUSH"], ["CLIENT KILL TYPE normal SKIPME yes"], ["CLIENT PAUSE 2000 ALL"]]
)
def test_25_forgotten_scripts_killed_clients_and_a_pause_are_not_noticed(rig: Rig, commands: list[str]) -> None:
    worker = rig.worker()
    songs = rig.accept("sleep-0.2", count=6)
    eventually(lambda: rig.over(songs[:1]))
    for command in commands:
        rig.queue.redis.execute_command(*command.split())  # type: ignore[no-untyped-call]
    rig.finish(songs)
    assert worker.alive
    assert {rig.separations(song) for song in songs} == {1}


def test_26_a_redis_that_is_full_refuses_songs_with_503_and_goes_on_once_it_has_room(rig: Rig) -> None:
    rig.rest()
    rig.worker()
    [running] = rig.accept("sleep-1")
    eventually(lambda: rig.running(running, "separating"))
    rig.queue.redis.config_set("maxmemory", 1)
    answer = rig.posted()
    assert (answer.status_code, answer.json()["code"]) == (503, "queue_unavailable")
    assert answer.headers["Retry-After"]
    rig.queue.redis.config_set("maxmemory", 0)
    songhash = eventually_accepted(rig)
    rig.finish([running, songhash])


def eventually_accepted(rig: Rig) -> str:
    answers: list[requests.Response] = []

    def accepted() -> bool:
        answers.append(rig.posted())
        return answers[-1].status_code == 200

    eventually(accepted, 10)
    songhash: str = answers[-1].json()["hash"]
    return songhash


def test_43_a_clock_that_jumps_ahead_in_redis_blames_no_living_worker(rig: Rig) -> None:
    """Where the clock jumps by an hour, every lease and the last tick are an hour old: so they are made."""
    worker = rig.worker()
    songs = rig.accept("sleep-2", count=1)
    eventually(lambda: rig.running(songs[0], "separating"))
    for hour in (-3_600_000, 3_600_000):
        shift_clock(rig, hour)
        eventually(lambda: abs(int(rig.queue.redis.get(f"{rig.queue.prefix}tick") or 0) - rig.queue.now()) < 1000, 5)
    rig.finish(songs)
    assert (rig.status(songs[0]).attempt, worker.alive) == (1, True)


def shift_clock(rig: Rig, by_ms: int) -> None:
    redis, prefix = rig.queue.redis, rig.queue.prefix
    redis.incrby(f"{prefix}tick", by_ms)
    for worker, _ in redis.zscan_iter(f"{prefix}workers"):
        redis.zincrby(f"{prefix}workers", by_ms, worker)


def test_47_all_keys_of_the_queue_share_a_slot_of_a_cluster(service: Service, tmp_path: Path) -> None:
    with Rig(tmp_path / "rig", service.settings, redis_flags=("--cluster-enabled", "yes")) as rig:
        rig.queue.redis.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)  # type: ignore[no-untyped-call]
        eventually(lambda: b"cluster_state:ok" in rig.queue.redis.execute_command("CLUSTER", "INFO"), 10)  # type: ignore[no-untyped-call]
        victim = rig.worker()
        songs = [*rig.accept("sleep-1"), *rig.accept("raise-1", count=2)]
        eventually(lambda: rig.running(songs[0], "separating"))
        victim.process.kill()
        worker = rig.worker()
        rig.finish(songs)
        rig.removed(songs[0])
        assert rig.queue.status(songs[0]) is None
        assert "CROSSSLOT" not in worker.log.read_text()
