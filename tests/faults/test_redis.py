"""Faults of Redis: it dies, hangs, forgets, is full or demoted, and its clock jumps. FAULTS.md numbers the faults."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import pytest
import requests

from local import Service, servers
from local.child import Child
from msas.job import Status
from msas.queue import Consumer
from tests.support.in_process import stored_messages
from tests.support.processes import eventually
from tests.support.requests import problem
from tests.support.rig import Rig, new_song, stopped

HOUR = 3_600_000


@pytest.fixture
def surviving_rig(rest_rig: Rig) -> Iterator[Rig]:
    """REST, two workers and a process that reconciles, which outlive every fault of Redis, and log no stack trace."""
    rest_rig.ready(*(rest_rig.worker() for _ in range(2)))
    rest_rig.keeper()
    yield rest_rig
    rest_rig.queue.redis.replicaof("NO", "ONE")
    assert all(child.alive for child in rest_rig.children)
    assert not any("Traceback" in child.log.read_text() for child in rest_rig.children)


def workers_of(rig: Rig) -> list[Child]:
    return [child for child in rig.children if child.name == "worker"]


def run_songs(rig: Rig) -> list[str]:
    """Give each worker a song to separate."""
    songs = rig.accept("sleep-1", count=2)
    eventually(lambda: all(rig.running(song, "separating") for song in songs))
    return songs


def kill_redis(rig: Rig) -> None:
    rig.redis.process.kill()
    rig.redis.process.wait()


def assert_refused(answer: requests.Response) -> None:
    assert problem(answer) == (503, "queue_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1


def post_until_accepted(rig: Rig, content: bytes) -> str:
    answers: list[requests.Response] = []

    def is_accepted() -> bool:
        answers.append(rig.posted(content))
        return answers[-1].status_code == 200

    eventually(is_accepted)
    songhash: str = answers[-1].json()["hash"]
    return songhash


def test_a_redis_that_hangs_is_reported_with_503(surviving_rig: Rig) -> None:
    """Fault 52. REST answers before its callers lose patience."""
    rig = surviving_rig
    paths = ("apiv1/queue", "readyz", f"apiv1/status/{'0' * 56}")
    with stopped(rig.redis), ThreadPoolExecutor() as pool:
        asked = [pool.submit(requests.get, f"{rig.url}/{path}", timeout=30) for path in paths]
        answers = [future.result() for future in (*asked, pool.submit(rig.posted))]
        alive = requests.get(f"{rig.url}/healthz", timeout=30)

    for answer in answers:
        assert_refused(answer)
    assert alive.status_code == 200
    eventually(lambda: requests.get(f"{rig.url}/readyz", timeout=30).status_code == 200)


def test_a_killed_redis_that_comes_back_loses_no_job(surviving_rig: Rig) -> None:
    """Fault 17."""
    rig, late = surviving_rig, new_song()
    running, waiting = run_songs(rig), rig.accept(count=4)

    kill_redis(rig)
    answers = [requests.get(f"{rig.url}/readyz", timeout=30), rig.posted(late)]
    rig.restart_redis()
    songs = [*running, *waiting, post_until_accepted(rig, late)]
    rig.finish(songs, 60)

    for answer in answers:
        assert_refused(answer)
    assert [rig.job(each).attempt for each in songs] == [1] * len(songs)
    assert [rig.separations(each) for each in songs] == [1] * len(songs)


def test_running_jobs_go_on_when_redis_was_away_for_longer_than_a_lease(surviving_rig: Rig) -> None:
    """Fault 17. Each worker first gets a fresh lease."""
    rig = surviving_rig
    running = run_songs(rig)

    with ExitStack() as stack:
        for worker in workers_of(rig):
            stack.enter_context(stopped(worker))
        kill_redis(rig)
        rig.restart_redis()
        shift_clock(rig, round(-2000 * rig.settings.lease_seconds))
        rig.queue.reclaim()
        still_running = [rig.running(song) for song in running]
    rig.finish(running, 60)

    assert still_running == [True, True]
    assert [rig.job(each).attempt for each in running] == [1, 1]
    assert [rig.separations(each) for each in running] == [1, 1]


@pytest.mark.parametrize("how", ["restarted without its files", "FLUSHALL"])
def test_a_redis_that_forgot_everything_loses_no_job_and_no_result(surviving_rig: Rig, how: str) -> None:
    """Fault 18. A job that failed is tried again, for only its message is left of it."""
    rig = surviving_rig
    done, bad = rig.accept(count=2), rig.accept_content(f"these are words, and {how}".encode() * 50)
    eventually(lambda: rig.over([*done, bad]))
    running, waiting = run_songs(rig), rig.accept(count=3)

    if how == "FLUSHALL":
        rig.queue.redis.flushall()
    else:
        kill_redis(rig)
        shutil.rmtree(rig.folder / "redis" / "appendonlydir")
        rig.restart_redis()
    eventually(lambda: all(rig.queue.job(each) for each in (*done, *running, *waiting, bad)))
    rig.finish([*done, *running, *waiting], 60)
    eventually(lambda: rig.over([bad]))

    assert [rig.separations(each) for each in done + waiting] == [1] * 5
    assert rig.job(bad).status is Status.FAILED
    error = rig.job(bad).error
    assert error
    assert error["code"] == "not_audio"


def test_a_redis_whose_log_was_cut_off_loses_no_job(rig: Rig) -> None:
    """Fault 19."""
    songs = rig.accept(count=3)
    kill_redis(rig)
    [log] = (rig.folder / "redis").glob("appendonlydir/*.incr.aof")
    log.write_bytes(log.read_bytes()[:-200])

    rig.restart_redis()
    after_restart = rig.queue.list_all_jobs()
    rig.worker()
    rig.keeper()
    eventually(lambda: all(rig.queue.job(each) for each in songs))
    rig.finish(songs, 60)

    assert after_restart == (songs[:2], [], []), "the last job is lost until a reconciler finds it"
    assert [rig.separations(each) for each in songs] == [1, 1, 1]


def test_workers_that_talk_to_a_demoted_master_wait_and_lose_nothing(surviving_rig: Rig) -> None:
    """Fault 21."""
    rig, late = surviving_rig, new_song()
    songs = [*run_songs(rig), *rig.accept(count=2)]

    rig.queue.redis.replicaof("127.0.0.1", str(servers.free_ports(1)[0]))
    refused = rig.posted(late)
    eventually(lambda: all("ReadOnlyError" in worker.log.read_text() for worker in workers_of(rig)))
    rig.queue.redis.replicaof("NO", "ONE")
    songs.append(post_until_accepted(rig, late))
    rig.finish(songs, 60)

    assert_refused(refused)
    assert {rig.job(each).attempt for each in songs} == {1}
    assert {rig.separations(each) for each in songs} == {1}


@pytest.mark.parametrize("command", ["SCRIPT FLUSH", "CLIENT KILL TYPE normal SKIPME yes", "CLIENT PAUSE 1000 ALL"])
def test_forgotten_scripts_killed_clients_and_a_pause_lose_nothing(surviving_rig: Rig, command: str) -> None:
    """Fault 25. While Redis pauses, REST may refuse a song for a moment."""
    rig, late = surviving_rig, new_song()
    songs = rig.accept("sleep-0.2", count=4)
    eventually(lambda: rig.over(songs[:1]))

    rig.queue.redis.execute_command(*command.split())  # type: ignore[no-untyped-call]
    answer = rig.posted(late)
    songs.append(post_until_accepted(rig, late))
    rig.finish(songs, 60)

    assert answer.status_code == 200 or ("PAUSE" in command and answer.status_code == 503)
    assert {rig.separations(each) for each in songs} == {1}


def test_a_full_redis_refuses_songs_before_their_upload_and_finishes_those_that_it_has(surviving_rig: Rig) -> None:
    """Fault 26. Nothing of the refused song stays in the store, and nobody has to free memory by hand."""
    rig, late = surviving_rig, new_song()
    running = run_songs(rig)
    waiting, deleted = rig.accept(count=2)

    rig.queue.redis.config_set("maxmemory", 1)
    eventually(lambda: problem(rig.posted(late)) == (503, "queue_full"))
    refused = rig.posted(late)
    deletion = requests.delete(f"{rig.url}/apiv1/remove/{deleted}", timeout=30)
    rig.finish([*running, waiting], 60)
    rig.queue.redis.config_set("maxmemory", 0)

    assert problem(refused) == (503, "queue_full")
    assert "Redis is" in refused.json()["detail"]
    assert int(refused.headers["Retry-After"]) >= 1
    assert deletion.status_code == 200
    assert rig.queue.job(deleted) is None
    eventually(lambda: not stored_messages(rig.store))
    assert [rig.job(each).attempt for each in (*running, waiting)] == [1, 1, 1]
    rig.finish([post_until_accepted(rig, late)], 60)


def test_a_clock_of_redis_that_jumps_blames_no_living_worker_and_hides_no_lost_one(surviving_rig: Rig) -> None:
    """Fault 43. Once the clock has jumped by an hour, each time that Redis keeps is an hour off: these are shifted."""
    rig = surviving_rig
    running = run_songs(rig)
    lost, delayed = rig.accept(count=2)
    gone = Consumer.from_settings(rig.settings)
    eventually(gone.claim_next)  # and never heard of again
    assert rig.running(lost)
    [message] = cast(list[bytes], rig.queue.redis.rpop(rig.queue.name, 1))
    rig.queue.redis.zadd(f"{rig.queue.prefix}delayed", {message: rig.queue.now()})

    held = []
    for by in (-HOUR, HOUR):
        shift_clock(rig, by)
        eventually(lambda: abs(int(rig.queue.redis.get(f"{rig.queue.prefix}tick") or 0) - rig.queue.now()) < HOUR / 2)
        held.append(rig.running(lost))
    remaining = rig.lease_end(gone.worker) - rig.queue.now() / 1000
    rig.expire_lease(gone.worker)
    rig.finish([*running, lost, delayed], 60)

    assert held == [True, True], "no lease ends because the clock jumped"
    assert remaining <= rig.settings.lease_seconds
    assert [rig.job(each).attempt for each in (*running, lost, delayed)] == [1, 1, 2, 1]


def shift_clock(rig: Rig, by_ms: int) -> None:
    """Move all times of the queue at once: by a negative number as if Redis' clock had jumped forward."""
    redis, prefix = rig.queue.redis, rig.queue.prefix
    members = [(name, member) for name in ("workers", "delayed") for member, _ in redis.zscan_iter(f"{prefix}{name}")]
    with redis.pipeline() as transaction:
        transaction.incrby(f"{prefix}tick", by_ms)
        for name, member in members:
            transaction.zincrby(f"{prefix}{name}", by_ms, member)
        transaction.execute()


def test_all_keys_of_the_queue_share_a_slot_of_a_cluster(
    service: Service, spare_buckets: dict[str, str], tmp_path: Path
) -> None:
    """Fault 47."""
    flags = ("--cluster-enabled", "yes", "--cluster-port", str(servers.free_ports(1)[0]))
    with Rig(tmp_path / "rig", service.settings, flags, lease_seconds=6.0, **spare_buckets) as rig:
        command = rig.queue.redis.execute_command
        command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)  # type: ignore[no-untyped-call]
        eventually(lambda: b"cluster_state:ok" in command("CLUSTER", "INFO"))  # type: ignore[no-untyped-call]
        [lost] = rig.accept()
        gone = Consumer.from_settings(rig.settings)
        eventually(gone.claim_next)  # and never heard of again

        worker = rig.worker()
        rig.expire_lease(gone.worker)
        songs = [lost, *rig.accept("raise-1"), *rig.accept("sleep-0.2")]
        rig.reclaim_until(lambda: rig.over(songs))
        rig.finish(songs)
        attempts = [rig.job(each).attempt for each in songs]
        rig.removed(lost)

        assert attempts == [2, 2, 1]
        assert rig.queue.job(lost) is None
        assert "CROSSSLOT" not in worker.log.read_text()
