"""Workers that die, hang, run out of room or are told to stop: real processes, real signals. Numbers: FAULTS.md."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from local import Service
from msas.job import State
from tests.conftest import eventually
from tests.observer import observed
from tests.rig import BOUND, Rig

CALLS = ("beat", "blmove", "claim", "published", "fetch_song", "put_stem", "put_report", "settle", "remove_message")
POINTS = [f"{call}:{moment}" for call in CALLS for moment in ("before", "after")]
# Killed there, nobody has begun; killed there, it was done or another found the report.
NEVER_CLAIMED = ("beat:before", "beat:after", "blmove:before", "blmove:after", "claim:before")
DONE = ("put_report:after", "settle:before", "settle:after", "remove_message:before", "remove_message:after")
MESSAGE_LEFT = ("settle:after", "remove_message:before")
WORKER_LOST = "killed, out of memory, or unreachable"


@pytest.fixture
def rig(service: Service, tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path / "rig", service.settings) as running:
        yield running


def test_1_5_a_job_whose_worker_is_killed_runs_again_within_lease_tick_and_backoff(rig: Rig) -> None:
    first = rig.worker()
    [song] = rig.accept("sleep-1")
    with observed(rig.queue, [song]):
        eventually(lambda: rig.running(song, "separating"))
        rig.ready(rig.worker())
        first.process.kill()
        eventually(lambda: rig.status(song).attempt == 2, BOUND)
        error = rig.status(song).error
        rig.finish([song])
    assert error
    assert error["code"] == "worker_lost"
    assert WORKER_LOST in error["message"]
    assert (rig.status(song).attempt, rig.separations(song)) == (2, 2)


def test_2_3_a_job_succeeds_wherever_its_worker_is_killed_and_is_blamed_only_once_it_was_claimed(rig: Rig) -> None:
    lanes = {point: rig.lane(point) for point in POINTS}
    victims = [lane.worker(CRASH_AT=point) for point, lane in lanes.items()]
    songs = {point: lane.accept()[0] for point, lane in lanes.items()}
    for victim in victims:
        victim.process.wait(20)
        assert victim.process.returncode == -signal.SIGKILL
    for lane in lanes.values():
        lane.worker()
    for point, lane in lanes.items():
        lane.finish([songs[point]])
        # Nobody reconciles here: what is to be removed last may be left.
        assert lane.store.message(songs[point]) is None or point in MESSAGE_LEFT, point
        attempts = lane.status(songs[point]).attempt
        assert attempts == 1 if point in NEVER_CLAIMED else attempts <= 2, point
        assert lane.separations(songs[point]) == 1 or point not in (*NEVER_CLAIMED, *DONE), point


def test_6_a_song_that_kills_its_worker_each_time_ends_dead_after_three_while_the_next_one_is_done(rig: Rig) -> None:
    workers = [rig.worker() for _ in range(4)]
    [poison] = rig.accept("kill")
    others = rig.accept(count=5)
    eventually(lambda: rig.over(others))
    eventually(lambda: rig.over([poison]), 3 * BOUND)
    status = rig.status(poison)
    assert (status.state, status.attempt, rig.separations(poison)) == (State.FAILED, 3, 3)
    assert status.error
    assert status.error["code"] == "worker_lost"
    [entry] = rig.dead()
    assert poison.encode() in entry
    eventually(lambda: [worker.alive for worker in workers].count(True) == 1)
    rig.check(others)


def test_7_a_file_that_is_no_audio_fails_at_once_with_the_reason(rig: Rig) -> None:
    rig.worker()
    bad = rig.accept_content(b"these are words" * 100)
    eventually(lambda: rig.over([bad]))
    status = rig.status(bad)
    assert status.error
    assert (status.state, status.attempt, status.error["code"]) == (State.FAILED, 1, "not_audio")
    assert (rig.dead(), rig.places()) == ([], [])


@pytest.mark.parametrize("model", ["raise-1", "alloc-1", "fill-1"])
def test_what_fails_on_our_side_is_tried_again_by_a_worker_that_lives_on(rig: Rig, model: str) -> None:
    worker = rig.worker()
    [song] = rig.accept(model)
    rig.finish([song])
    assert (rig.status(song).attempt, rig.separations(song)) == (2, 2)
    assert worker.alive


def test_what_fails_on_our_side_three_times_is_dead(rig: Rig) -> None:
    rig.worker()
    [song] = rig.accept("raise")
    eventually(lambda: rig.over([song]))
    status = rig.status(song)
    assert status.error
    assert (status.state, status.attempt, status.error["code"]) == (State.FAILED, 3, "internal_error")
    assert len(rig.dead()) == 1


def test_8_a_worker_told_to_stop_finishes_its_song_first(rig: Rig) -> None:
    worker = rig.worker()
    [song] = rig.accept("sleep-1")
    eventually(lambda: rig.running(song, "separating"))
    worker.process.terminate()
    assert worker.process.wait(10) == 0
    rig.check([song])
    assert (rig.status(song).attempt, rig.separations(song)) == (1, 1)


@pytest.mark.parametrize("rig_drain", [0.0, 0.5])
def test_9_a_worker_without_time_to_finish_hands_its_song_back_to_the_head_of_the_line(
    service: Service, tmp_path: Path, rig_drain: float
) -> None:
    with Rig(tmp_path / "rig", service.settings, drain_seconds=rig_drain) as rig:
        worker = rig.worker()
        songs = rig.accept("sleep-2", count=3)
        eventually(lambda: rig.running(songs[0], "separating"))
        worker.process.terminate()
        assert worker.process.wait(rig_drain + 2) == 0
        assert rig.queue.overview() == (songs, [], [])
        assert rig.status(songs[0]).attempt == 0
        rig.worker()
        eventually(lambda: rig.running(songs[0]), 10)
        assert [rig.status(song).attempt for song in songs] == [1, 0, 0]


def test_10_a_song_that_comes_in_while_a_worker_is_told_to_stop_is_never_lost(rig: Rig) -> None:
    songs = []
    for _ in range(3):
        workers = [rig.worker() for _ in range(5)]
        rig.ready(*workers)
        for worker in workers:
            songs += rig.accept()
            worker.process.terminate()
        for worker in workers:
            assert worker.process.wait(10) == 0
    rig.worker()
    rig.finish(songs)
    assert {rig.status(song).attempt for song in songs} == {1}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_11_a_second_signal_ends_a_worker_at_once_and_its_song_goes_on_elsewhere(
    rig: Rig, number: signal.Signals
) -> None:
    worker = rig.worker()
    [song] = rig.accept("sleep-1")
    eventually(lambda: rig.running(song, "separating"))
    rig.ready(rig.worker())

    def gone() -> bool:  # two signals of a kind that come at once are one
        worker.process.send_signal(number)
        return not worker.alive

    worker.process.terminate()
    eventually(gone, 1)
    assert worker.process.returncode == -number
    eventually(lambda: rig.status(song).attempt == 2, BOUND)
    rig.finish([song])


def test_12_13_a_separation_that_hangs_ends_its_worker_and_is_done_by_another(service: Service, tmp_path: Path) -> None:
    with Rig(tmp_path / "rig", service.settings, stall_seconds=1.0) as rig:
        workers = [rig.worker() for _ in range(3)]
        songs = [*rig.accept("hang-1"), *rig.accept("stall-1")]
        eventually(lambda: all(rig.status(song).attempt == 2 for song in songs), 2 + 2 * BOUND)
        rig.finish(songs)
        ended = [worker for worker in workers if not worker.alive]
        assert len(ended) == 2
        assert all("Timeout" in worker.log.read_text() for worker in ended)


def test_what_a_dead_worker_left_on_disk_is_removed_by_the_next(rig: Rig) -> None:
    worker = rig.worker()
    [song] = rig.accept("sleep-1")
    eventually(lambda: rig.running(song, "separating"))
    scratch = rig.folder / "scratch"
    [left] = scratch.glob("msas-worker-*")
    assert any(path.stat().st_size for path in left.rglob("song"))
    worker.process.kill()
    rig.worker()
    rig.finish([song])
    assert len(list(scratch.glob("msas-worker-*"))) == 1
    assert not left.exists()


def test_44_workers_with_the_same_host_name_and_pid_have_names_of_their_own(rig: Rig) -> None:
    rig.ready(*(rig.worker() for _ in range(2)))
    eventually(lambda: rig.queue.redis.zcard(f"{rig.queue.prefix}workers") == 2)
    names = [cast(bytes, name).decode() for name in rig.queue.redis.zrange(f"{rig.queue.prefix}workers", 0, -1)]
    assert len({name.rpartition("-")[2] for name in names}) == 2
