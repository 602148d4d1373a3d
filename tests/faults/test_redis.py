"""Redis dies, forgets, is full or demoted, and its clock jumps. Numbers: FAULTS.md."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
import requests

from local import Service, servers
from msas.job import State
from msas.queue import Receiver
from tests.support.processes import eventually
from tests.support.rig import BOUND, LEASE, RECONCILE, Rig, song

SLACK = 3.0  # for processes to notice and to do what was held up
HOUR = 3_600_000
WORKERS = 2
NEW = 1_000_000  # songs that the rig makes have smaller numbers


@pytest.fixture(scope="module")
def shared(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Rig(tmp_path_factory.mktemp("redis") / "rig", service.settings) as rig:
        workers = [rig.worker() for _ in range(WORKERS)]
        rig.rest()
        rig.ready(*workers)
        eventually(rig.queue.offered)
        yield rig


@pytest.fixture
def rig(shared: Rig) -> Iterator[Rig]:
    """REST and two workers, all of which outlive whatever happens to Redis, and say so without a stack trace."""
    yield shared
    shared.queue.redis.config_set("maxmemory", 0)
    shared.queue.redis.replicaof("NO", "ONE")
    assert all(child.alive for child in shared.children)
    assert not any("Traceback" in child.log.read_text() for child in shared.children)


@pytest.fixture
def lonely(service: Service, tmp_path: Path) -> Iterator[Rig]:
    """A rig in which nobody works yet."""
    with Rig(tmp_path / "rig", service.settings) as running:
        yield running


def busy(rig: Rig, model: str = "sleep-2") -> list[str]:
    """Give each worker a song to work on."""
    songs = rig.accept(model, count=WORKERS)
    eventually(lambda: all(rig.running(song, "separating") for song in songs))
    return songs


def kill_redis(rig: Rig) -> None:
    rig.redis.process.kill()
    rig.redis.process.wait()


def refused(rig: Rig, content: bytes) -> None:
    """REST says within 2 s that Redis is away."""
    began = time.monotonic()
    answer = rig.posted(content)
    assert time.monotonic() - began < 2
    assert (answer.status_code, answer.json()["code"]) == (503, "queue_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1


def accepted(rig: Rig, content: bytes) -> str:
    """Send REST a song until it takes it."""
    answers: list[requests.Response] = []

    def taken() -> bool:
        answers.append(rig.posted(content))
        return answers[-1].status_code == 200

    eventually(taken, BOUND)
    songhash: str = answers[-1].json()["hash"]
    return songhash


def test_17_a_redis_that_is_killed_and_comes_back_loses_nothing_and_restarts_no_running_job(rig: Rig) -> None:
    running, waiting = busy(rig), rig.accept(count=10)
    kill_redis(rig)
    until = time.monotonic() + 1.5 * LEASE
    refused(rig, song(NEW + 17))
    time.sleep(max(0.0, until - time.monotonic()))  # the outage itself
    rig.restart_redis()
    later = accepted(rig, song(NEW + 17))
    eventually(lambda: rig.over(running), BOUND + SLACK)
    rig.finish([*running, *waiting, later], BOUND + SLACK)
    assert [rig.status(each).attempt for each in running] == [1, 1]
    assert [rig.separations(each) for each in (*running, *waiting, later)] == [1] * 13


@pytest.mark.parametrize("how", ["restarted without its files", "FLUSHALL"])
def test_18_a_redis_that_forgot_everything_loses_no_job_and_no_result(rig: Rig, how: str) -> None:
    """A job that failed is tried again, for its message is all that is left of it."""
    done, bad = rig.accept(count=3), rig.accept_content(f"these are words, and {how}".encode() * 50)
    eventually(lambda: rig.over([*done, bad]))
    running, waiting = busy(rig, "sleep-1"), rig.accept(count=5)
    if how == "FLUSHALL":
        rig.queue.redis.flushall()
    else:
        kill_redis(rig)
        shutil.rmtree(rig.folder / "redis" / "appendonlydir")
        rig.restart_redis()
    everything = [*done, *running, *waiting, bad]
    eventually(lambda: all(rig.queue.status(each) for each in everything), 2 * RECONCILE + SLACK)
    rig.finish([*done, *running, *waiting], 2 * RECONCILE + BOUND + SLACK)
    assert [rig.separations(each) for each in done + waiting] == [1] * 8
    eventually(lambda: rig.over([bad]), BOUND)
    error = rig.status(bad).error
    assert error
    assert (rig.status(bad).state, error["code"]) == (State.FAILED, "not_audio")
    rig.removed(bad)


def test_19_a_redis_whose_log_was_cut_off_loses_no_job(lonely: Rig) -> None:
    songs = lonely.accept(count=5)
    kill_redis(lonely)
    [log] = (lonely.folder / "redis").glob("appendonlydir/*.incr.aof")
    log.write_bytes(log.read_bytes()[:-200])
    lonely.restart_redis()
    assert lonely.queue.overview() == (songs[:4], [], []), "the last one is lost, for now"
    lonely.ready(lonely.worker())
    eventually(lambda: all(lonely.queue.status(each) for each in songs), 2 * RECONCILE + SLACK)
    lonely.finish(songs, BOUND)
    assert [lonely.separations(each) for each in songs] == [1] * 5


def test_21_workers_that_talk_to_a_demoted_master_wait_and_lose_nothing(rig: Rig) -> None:
    songs = [*busy(rig), *rig.accept(count=2)]
    before = [child.log.read_text().count("ReadOnlyError") for child in rig.children]
    rig.queue.redis.replicaof("127.0.0.1", str(servers.free_ports(1)[0]))
    until = time.monotonic() + 2 * LEASE
    refused(rig, song(NEW + 21))
    time.sleep(max(0.0, until - time.monotonic()))  # the demotion itself
    rig.queue.redis.replicaof("NO", "ONE")
    after = [child.log.read_text().count("ReadOnlyError") for child in rig.children]
    assert [count for count in map(int.__sub__, after, before) if count], "they noticed"
    later = accepted(rig, song(NEW + 21))
    rig.finish([*songs, later], BOUND + SLACK)
    assert {rig.status(each).attempt for each in songs} == {1}
    assert {rig.separations(each) for each in [*songs, later]} == {1}


def test_25_forgotten_scripts_killed_clients_and_a_pause_are_not_noticed(rig: Rig) -> None:
    """Where Redis pauses for longer than REST's patience, a client may be told to come again."""
    songs = rig.accept("sleep-0.2", count=12)
    for number, command in enumerate(("SCRIPT FLUSH", "CLIENT KILL TYPE normal SKIPME yes", "CLIENT PAUSE 2000 ALL")):
        eventually(lambda n=number: rig.over(songs[: 1 + 3 * n]))  # type: ignore[misc]
        rig.queue.redis.execute_command(*command.split())  # type: ignore[no-untyped-call]
        answer = rig.posted(song(NEW + 250 + number))
        assert answer.status_code == 200 or ("PAUSE" in command and answer.status_code == 503)
    songs += [accepted(rig, song(NEW + 250 + number)) for number in range(3)]
    rig.finish(songs, BOUND + SLACK)
    assert {rig.separations(each) for each in songs} == {1}


def test_26_a_redis_that_is_full_refuses_songs_with_503_and_goes_on_once_it_has_room(rig: Rig) -> None:
    """The refused song's message is in the store by then: it is separated, though its sender never comes back."""
    running = busy(rig, "sleep-2")
    waiting, deleted = rig.accept(count=2)
    rig.queue.redis.config_set("maxmemory", 1)
    until = time.monotonic() + 1.5 * LEASE
    refused(rig, song(NEW + 26))
    assert requests.get(f"{rig.url}/apiv1/status/{waiting}", timeout=10).json()["queue_position"] == 1
    assert requests.delete(f"{rig.url}/apiv1/remove/{deleted}", timeout=10).status_code == 200
    [known] = {found for found, _ in rig.store.messages()} - {*running, waiting}
    time.sleep(max(0.0, until - time.monotonic()))  # full for longer than a lease
    rig.queue.redis.config_set("maxmemory", 0)
    eventually(lambda: rig.queue.status(known), 2 * RECONCILE + SLACK)
    rig.finish([*running, waiting, known], BOUND + SLACK)
    assert accepted(rig, song(NEW + 26)) == known
    assert [rig.status(each).attempt for each in (*running, waiting, known)] == [1, 1, 1, 1]
    assert rig.queue.status(deleted) is None


def test_43_a_clock_of_redis_that_jumps_blames_no_living_worker_and_hides_no_lost_one(rig: Rig) -> None:
    """Once the clock has jumped by an hour, each time that Redis keeps is an hour off: so they are made."""
    running = busy(rig)
    lost, delayed = rig.accept(count=2)
    gone = Receiver.from_settings(rig.settings)
    eventually(gone.take)  # and never heard of again
    assert rig.running(lost)
    [message] = cast(list[bytes], rig.queue.redis.rpop(rig.queue.name, 1))
    rig.queue.redis.zadd(f"{rig.queue.prefix}delayed", {message: rig.queue.now()})
    for by in (-HOUR, HOUR):
        shift_clock(rig, by)
        eventually(lambda: abs(int(rig.queue.redis.get(f"{rig.queue.prefix}tick") or 0) - rig.queue.now()) < 1000, 5)
    eventually(lambda: not rig.running(lost) or rig.status(lost).attempt == 2, BOUND + LEASE)
    rig.finish([*running, lost, delayed], BOUND + SLACK)
    assert [rig.status(each).attempt for each in (*running, lost, delayed)] == [1, 1, 2, 1]


def shift_clock(rig: Rig, by_ms: int) -> None:
    redis, prefix = rig.queue.redis, rig.queue.prefix
    redis.incrby(f"{prefix}tick", by_ms)
    for name in ("workers", "delayed"):
        for member, _ in redis.zscan_iter(f"{prefix}{name}"):
            redis.zincrby(f"{prefix}{name}", by_ms, member)


def test_47_all_keys_of_the_queue_share_a_slot_of_a_cluster(service: Service, tmp_path: Path) -> None:
    flags = ("--cluster-enabled", "yes", "--cluster-port", str(servers.free_ports(1)[0]))
    with Rig(tmp_path / "rig", service.settings, flags) as rig:
        command = rig.queue.redis.execute_command
        command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)  # type: ignore[no-untyped-call]
        eventually(lambda: b"cluster_state:ok" in command("CLUSTER", "INFO"), 10)  # type: ignore[no-untyped-call]
        [lost] = rig.accept()
        eventually(Receiver.from_settings(rig.settings).take)  # and never heard of again
        worker = rig.worker()
        songs = [lost, *rig.accept("raise-1", count=2), *rig.accept("sleep-0.2", count=2)]
        rig.finish(songs)
        assert [rig.status(each).attempt for each in songs] == [2, 2, 2, 1, 1]
        rig.removed(lost)
        assert rig.queue.status(lost) is None
        assert "CROSSSLOT" not in worker.log.read_text()
