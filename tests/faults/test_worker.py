"""Faults of workers: they are killed, hang, run out of room, or are told to stop. FAULTS.md numbers the faults."""

from __future__ import annotations

import signal
import subprocess
from datetime import datetime, timedelta
from typing import Any

import pytest

from local.child import Child
from msas.job import Status
from tests.support.observer import observed
from tests.support.processes import eventually
from tests.support.rig import Rig

CALLS = ("renew", "take_next", "dead_letter", "claim", "published", "fetch_song", "put_stem", "put_report", "settle")
POINTS = [f"{call}:{moment}" for call in (*CALLS, "remove_message") for moment in ("before", "after")]
NOT_CLAIMED_YET = ("take_next", "dead_letter", "claim:before")
DONE = ("put_report:after", "settle", "remove_message")
WORKER_LOST = "The worker was lost (killed, out of memory, or unreachable) while it worked on this song."
SHORT_LEASE: dict[str, Any] = {"LEASE_SECONDS": "1", "BEAT_SECONDS": "0.2"}
# Seconds without progress after which a worker ends itself; long enough for a slow machine to reach the engine.
STALL = 2.0


def at(moment: datetime | None) -> datetime:
    assert moment
    return moment


def kill(worker: Child) -> None:
    worker.process.kill()
    worker.process.wait()


@pytest.mark.parametrize("point", POINTS)
def test_a_job_succeeds_when_its_worker_is_killed_at_any_call(rig: Rig, point: str) -> None:
    """Faults 2 and 3. The lost worker counts as an attempt only once it claimed the job."""
    garbage = [b"garbage"] if point.startswith("dead_letter") else []
    for message in garbage:
        rig.queue.redis.lpush(rig.queue.name, message)
    [song] = rig.accept()
    doomed = rig.worker(CRASH_AT=point)

    assert doomed.process.wait(60) == -signal.SIGKILL
    rig.expire_lease(doomed)
    rig.worker()
    rig.reclaim_until(lambda: rig.over([song]))

    rig.check([song])
    assert rig.job(song).attempt in ([1] if point.startswith(NOT_CLAIMED_YET) else [1, 2])
    if point.startswith((*NOT_CLAIMED_YET, *DONE)):
        assert rig.separations(song) == 1
    assert len(rig.dead()) == len(garbage)


def test_a_job_runs_elsewhere_when_the_lease_of_its_killed_worker_runs_out(rig: Rig) -> None:
    """Faults 1 and 5. Here a lease ends by the time that passes, not by Rig.expire_lease."""
    first = rig.worker(**SHORT_LEASE)
    [song] = rig.accept("stall-1")
    with observed(rig.queue, [song]):
        eventually(lambda: rig.running(song, "separating"))
        kill(first)
        lease_end = rig.lease_end(*rig.worker_names())
        rig.worker()
        eventually(lambda: rig.job(song).status is Status.QUEUED or rig.job(song).attempt == 2, 60)
        error = rig.job(song).error
        rig.finish([song], 60)

    assert error == {"code": "worker_lost", "message": WORKER_LOST}
    assert rig.job(song).attempt == 2
    assert rig.separations(song) == 2
    assert at(rig.job(song).started_at).timestamp() >= lease_end


def test_a_song_that_kills_its_worker_fails_after_six_lost_workers_and_other_songs_succeed(rig: Rig) -> None:
    """Fault 6."""
    [poison], others = rig.accept("kill"), rig.accept(count=5)
    with observed(rig.queue, [poison, *others]):
        workers = [rig.worker() for _ in range(7)]
        eventually(lambda: rig.over(others))
        for attempt in range(1, 7):
            rig.reclaim_until(lambda n=attempt: rig.separations(poison) == n)  # type: ignore[misc]
            eventually(lambda n=attempt: sum(not worker.alive for worker in workers) == n)  # type: ignore[misc]
            for worker in workers:
                if not worker.alive:
                    rig.expire_lease(worker)
        eventually(lambda: rig.over([poison]))

    found = rig.job(poison)
    assert found.status is Status.FAILED
    assert found.attempt == 6
    assert found.error == {"code": "worker_lost", "message": WORKER_LOST}
    [entry] = rig.dead()
    assert poison.encode() in entry
    assert [worker.process.poll() for worker in workers].count(-signal.SIGKILL) == 6
    rig.check(others)


def test_a_file_that_is_not_audio_fails_at_the_first_attempt_with_the_reason(rig: Rig) -> None:
    """Fault 7."""
    rig.worker()

    bad = rig.accept_content(b"these are words" * 100)
    eventually(lambda: rig.over([bad]))

    found = rig.job(bad)
    assert found.status is Status.FAILED
    assert found.attempt == 1
    assert found.error
    assert found.error["code"] == "not_audio"
    assert rig.separations(bad) == 0
    assert rig.dead() == []
    assert rig.places() == []


@pytest.mark.parametrize("model", ["raise-1", "alloc-1", "fill-1"])
def test_a_job_whose_separation_fails_once_is_tried_again_by_the_same_worker(rig: Rig, model: str) -> None:
    """Fault 49: an exception, too little memory, a full disk."""
    worker = rig.worker()
    [song] = rig.accept(model)

    with observed(rig.queue, [song]):
        rig.reclaim_until(lambda: rig.over([song]))

    rig.check([song])
    assert rig.job(song).attempt == 2
    assert rig.separations(song) == 2
    assert worker.alive


def test_a_job_whose_separation_always_fails_is_dead_after_three_attempts(rig: Rig) -> None:
    """Fault 49."""
    worker = rig.worker()
    [song] = rig.accept("raise")

    with observed(rig.queue, [song]):
        rig.reclaim_until(lambda: rig.over([song]))

    found = rig.job(song)
    assert found.status is Status.FAILED
    assert found.attempt == 3
    assert rig.separations(song) == 3
    assert found.error
    assert found.error["code"] == "internal_error"
    assert "the worker's log says why" in found.error["message"]
    assert at(found.ended_at) - at(found.enqueued_at) >= timedelta(seconds=rig.settings.retry_seconds * 3)
    assert len(rig.dead()) == 1
    assert worker.alive


def test_a_worker_told_to_stop_finishes_its_song_when_there_is_time(rig: Rig) -> None:
    """Fault 8."""
    worker = rig.worker(DRAIN_SECONDS="60")
    [song] = rig.accept("sleep-1")

    with observed(rig.queue, [song]):
        eventually(lambda: rig.running(song, "separating"))
        worker.process.terminate()
        exit_code = worker.process.wait(60)

    assert exit_code == 0
    rig.check([song])
    assert rig.job(song).attempt == 1
    assert rig.separations(song) == 1


@pytest.mark.parametrize("drain_seconds", ["0", "0.3"])
def test_a_worker_told_to_stop_without_time_hands_its_song_back_to_the_head_of_the_line(
    rig: Rig, drain_seconds: str
) -> None:
    """Fault 9. The song would take a minute; the worker ends long before."""
    worker = rig.worker(DRAIN_SECONDS=drain_seconds)
    first, *later = rig.accept("sleep-60") + rig.accept(count=2)
    eventually(lambda: rig.running(first, "separating"))

    worker.process.terminate()
    exit_code = worker.process.wait(50)

    assert exit_code == 0
    assert rig.queue.list_all_jobs() == ([first, *later], [], [])
    assert rig.job(first).attempt == 0


def test_songs_start_in_order_after_one_was_handed_back(rig: Rig) -> None:
    """Fault 9."""
    leaving = rig.worker(DRAIN_SECONDS="0")
    songs = rig.accept("sleep-1") + rig.accept(count=2)
    eventually(lambda: rig.running(songs[0], "separating"))
    leaving.process.terminate()
    assert leaving.process.wait(50) == 0

    rig.worker()
    rig.finish(songs)

    assert [rig.job(song).attempt for song in songs] == [1, 1, 1]
    starts = [at(rig.job(song).started_at) for song in songs]
    assert starts == sorted(starts)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_a_second_signal_ends_a_worker_at_once_and_its_song_runs_elsewhere(rig: Rig, second: signal.Signals) -> None:
    """Fault 11."""
    worker = rig.worker(DRAIN_SECONDS="1000")
    [song] = rig.accept("stall-1")
    eventually(lambda: rig.running(song, "separating"))

    worker.process.terminate()
    exit_code = repeat_until_ended(worker, second)
    rig.expire_lease(worker)
    rig.worker()
    rig.reclaim_until(lambda: rig.over([song]))

    assert exit_code == -second
    rig.check([song])
    assert rig.job(song).attempt == 2


def repeat_until_ended(worker: Child, number: signal.Signals) -> int:
    """Send the signal again and again, for two equal signals that come at once are one; return the exit code."""
    for _ in range(600):
        worker.process.send_signal(number)
        try:
            return worker.process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
    raise AssertionError("the worker ignores the second signal")


def test_a_new_worker_removes_the_files_of_a_dead_one(rig: Rig) -> None:
    """Fault 5."""
    worker = rig.worker()
    [song] = rig.accept("stall-1")
    eventually(lambda: rig.running(song, "separating"))
    scratch = rig.folder / "scratch"
    [left] = scratch.glob("msas-worker-*")
    assert any(path.stat().st_size for path in left.rglob("song"))
    kill(worker)

    rig.ready(rig.worker())

    assert not left.exists()
    assert len(list(scratch.glob("msas-worker-*"))) == 1


def test_workers_of_one_host_have_different_names_and_an_idle_one_leaves_the_other_s_song_alone(rig: Rig) -> None:
    """Fault 44. The idle worker ends although it would wait for a song for much longer."""
    workers = [rig.worker(BLOCK_SECONDS="500", LEASE_SECONDS="1000") for _ in range(2)]
    eventually(lambda: len(rig.worker_names()) == 2)
    names = rig.worker_names()
    [song] = rig.accept("sleep-2")
    eventually(lambda: rig.running(song, "separating"))

    [idle] = [worker for worker in workers if "job claimed" not in worker.log.read_text()]
    idle.process.terminate()
    exit_code = idle.process.wait(60)
    rig.finish([song])

    assert len({name.rpartition("-")[2] for name in names}) == 2
    assert exit_code == 0
    assert rig.job(song).attempt == 1
    assert rig.separations(song) == 1


@pytest.mark.parametrize("model", ["hang-1", "stall-1"])
def test_a_separation_that_hangs_ends_its_worker_and_is_tried_again(rig: Rig, model: str) -> None:
    """Faults 12 and 13: it holds Python's lock, so that not even the heartbeat runs; or only its progress stops."""
    worker = rig.worker(STALL_SECONDS=str(STALL))
    [song] = rig.accept(model)

    exit_code = worker.process.wait(60)
    assert rig.running(song)
    rig.expire_lease(worker)
    error = rig.job(song).error
    rig.worker()
    rig.reclaim_until(lambda: rig.over([song]))

    assert exit_code == 1
    assert "Timeout" in worker.log.read_text()
    assert error == {"code": "worker_lost", "message": WORKER_LOST}
    rig.check([song])
    assert rig.job(song).attempt == 2
    assert rig.separations(song) == 2
