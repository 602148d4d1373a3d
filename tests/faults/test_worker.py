"""Workers that die, hang, run out of room or are told to stop: real processes, real signals. Numbers: FAULTS.md."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from local import Service
from msas.job import State
from tests.support.crowd import Crowd, crowd_on
from tests.support.observer import observed
from tests.support.processes import eventually
from tests.support.rig import BOUND, LEASE, Rig, lasting_buckets

CALLS = ("beat", "blmove", "bury", "claim", "published", "fetch_song", "put_stem", "put_report", "settle")
POINTS = [f"{call}:{moment}" for call in (*CALLS, "remove_message") for moment in ("before", "after")]
# Killed there, nobody has begun; killed there, it was done or another found the report.
NEVER_CLAIMED = ("beat", "blmove", "bury", "claim:before")
DONE = ("put_report:after", "settle", "remove_message")
MESSAGE_LEFT = ("settle:after", "remove_message:before")
WORKER_LOST = "The worker was lost (killed, out of memory, or unreachable) while it worked on this song."
# Seconds without progress after which a worker ends itself; long enough for a slow machine to reach the engine.
STALL = 3.0


@pytest.fixture(scope="module")
def buckets(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with lasting_buckets(tmp_path_factory.mktemp("buckets") / "rig", service.settings) as buckets:
        yield buckets


@pytest.fixture
def rig(service: Service, buckets: dict[str, str], tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path / "rig", service.settings, **buckets) as running:
        yield running


@pytest.fixture(scope="module")
def hanging(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Rig, Crowd, dict[str, str]]]:
    """Songs that hang, on a rig of their own. That takes its time, which is why others are tested meanwhile."""
    with Rig(tmp_path_factory.mktemp("hanging") / "rig", service.settings, stall_seconds=STALL) as running:
        crowd = Crowd(running, [{}] * 6)
        crowd.ready()
        yield running, crowd, {model: running.accept(model)[0] for model in ("hang", "hang-1", "stall-1")}


def test_2_3_a_job_succeeds_wherever_its_worker_is_killed_and_is_blamed_only_once_it_was_claimed(rig: Rig) -> None:
    lanes = {point: rig.lane(point) for point in POINTS}
    for point in ("bury:before", "bury:after"):
        lanes[point].queue.redis.lpush(lanes[point].queue.name, b"garbage")
    songs = {point: lane.accept()[0] for point, lane in lanes.items()}
    assert crowd_on([*lanes.values()], POINTS).ended() == [-signal.SIGKILL] * len(POINTS)
    crowd_on([*lanes.values()]).ready()
    eventually(lambda: all(lane.over([songs[point]]) for point, lane in lanes.items()), 2 * BOUND)
    for point, lane in lanes.items():
        lane.check([songs[point]])
        # Nobody reconciles here: what is to be removed last may be left.
        assert lane.store.message(songs[point]) is None or point in MESSAGE_LEFT, point
        attempts = lane.status(songs[point]).attempt
        assert attempts == 1 if point.startswith(NEVER_CLAIMED) else attempts <= 2, point
        assert lane.separations(songs[point]) == 1 or not point.startswith((*NEVER_CLAIMED, *DONE)), point
        assert len(lane.dead()) == point.startswith("bury"), point


@pytest.mark.usefixtures("hanging")
def test_1_5_a_job_whose_worker_is_killed_runs_again_within_lease_tick_and_backoff(rig: Rig) -> None:
    first = rig.worker()
    [song] = rig.accept("stall-1")
    with observed(rig.queue, [song]):
        eventually(lambda: rig.running(song, "separating"))
        rig.ready(rig.worker())
        first.process.kill()
        eventually(lambda: rig.status(song).state is State.QUEUED or rig.status(song).attempt == 2, BOUND)
        error = rig.status(song).error
        eventually(lambda: rig.status(song).attempt == 2, BOUND)
        rig.finish([song])
    assert error == {"code": "worker_lost", "message": WORKER_LOST}
    assert (rig.status(song).attempt, rig.separations(song)) == (2, 2)


def test_6_a_song_that_kills_its_worker_each_time_ends_dead_after_three_while_the_next_one_is_done(rig: Rig) -> None:
    crowd = Crowd(rig, [{}] * 4)
    [poison], others = rig.accept("kill"), rig.accept(count=5)
    with observed(rig.queue, [poison, *others]):
        crowd.ready()
        eventually(lambda: rig.over([poison]), 3 * BOUND)
        rig.finish(others)
    status = rig.status(poison)
    assert (status.state, status.attempt, rig.separations(poison)) == (State.FAILED, 3, 3)
    assert status.error == {"code": "worker_lost", "message": WORKER_LOST}
    assert all(at(rig.status(song).ended_at) < at(status.ended_at) for song in others)
    [entry] = rig.dead()
    assert poison.encode() in entry
    assert sorted(crowd.exit_codes().values()) == [-signal.SIGKILL] * 3


def at(moment: datetime | None) -> datetime:
    assert moment
    return moment


def test_7_a_file_that_is_no_audio_fails_at_once_with_the_reason(rig: Rig) -> None:
    rig.worker()
    bad = rig.accept_content(b"these are words" * 100)
    eventually(lambda: rig.over([bad]))
    status = rig.status(bad)
    assert status.error
    assert (status.state, status.attempt, status.error["code"]) == (State.FAILED, 1, "not_audio")
    assert (rig.separations(bad), rig.dead(), rig.places()) == (0, [], [])


def test_what_fails_on_our_side_is_tried_again_by_a_worker_that_lives_on_and_is_dead_after_three(rig: Rig) -> None:
    """An exception; more memory than there is; a disk that is full."""
    worker = rig.worker()
    songs = [rig.accept(model)[0] for model in ("raise-1", "alloc-1", "fill-1")]
    [hopeless] = rig.accept("raise")
    with observed(rig.queue, [*songs, hopeless]):
        eventually(lambda: rig.over([hopeless]))
        rig.finish(songs)
    assert [(rig.status(song).attempt, rig.separations(song)) for song in songs] == [(2, 2)] * 3
    status = rig.status(hopeless)
    assert status.error
    assert (status.state, status.attempt, rig.separations(hopeless)) == (State.FAILED, 3, 3)
    assert status.error["code"] == "internal_error"
    assert "the worker's log says why" in status.error["message"]
    assert at(status.ended_at) - at(status.enqueued_at) >= timedelta(seconds=rig.settings.retry_seconds * 3)
    assert len(rig.dead()) == 1
    assert worker.alive


def test_8_a_worker_told_to_stop_finishes_its_song_first(rig: Rig) -> None:
    worker = rig.worker()
    [song] = rig.accept("sleep-1")
    with observed(rig.queue, [song]):
        eventually(lambda: rig.running(song, "separating"))
        worker.process.terminate()
        assert worker.process.wait(10) == 0
    rig.check([song])
    assert (rig.status(song).attempt, rig.separations(song)) == (1, 1)


def test_9_a_worker_without_time_to_finish_hands_its_song_back_to_the_head_of_the_line(rig: Rig) -> None:
    lanes = {drain: rig.lane(f"drain-{drain}") for drain in (0.0, 0.3)}
    workers = {drain: lane.worker(DRAIN_SECONDS=str(drain)) for drain, lane in lanes.items()}
    songs = {drain: lane.accept("sleep-1") + lane.accept(count=2) for drain, lane in lanes.items()}
    eventually(lambda: all(lane.running(songs[drain][0]) for drain, lane in lanes.items()))
    for worker in workers.values():
        worker.process.terminate()
    for drain, lane in lanes.items():
        assert workers[drain].process.wait(drain + 2) == 0
        assert lane.queue.overview() == (songs[drain], [], [])
        assert lane.status(songs[drain][0]).attempt == 0
    crowd_on([*lanes.values()])
    for drain, lane in lanes.items():
        lane.finish(songs[drain])
        assert [lane.status(song).attempt for song in songs[drain]] == [1, 1, 1]
        begun = [at(lane.status(song).started_at) for song in songs[drain]]
        assert begun == sorted(begun)


def test_11_a_second_signal_ends_a_worker_at_once_and_its_song_goes_on_elsewhere(rig: Rig) -> None:
    lanes = {number: rig.lane(number.name) for number in (signal.SIGTERM, signal.SIGKILL)}
    workers = {number: lane.worker() for number, lane in lanes.items()}
    songs = {number: lane.accept("stall-1")[0] for number, lane in lanes.items()}
    eventually(lambda: all(lane.running(songs[number], "separating") for number, lane in lanes.items()))
    crowd_on([*lanes.values()]).ready()
    for number, worker in workers.items():
        worker.process.terminate()
        time.sleep(0.05)  # two signals of a kind that come at once are one
        worker.process.send_signal(number)
        assert worker.process.wait(1) == -number
    eventually(lambda: all(lane.status(songs[number]).attempt == 2 for number, lane in lanes.items()), BOUND)
    for number, lane in lanes.items():
        lane.finish([songs[number]])


def test_what_a_dead_worker_left_on_disk_is_removed_by_the_next(rig: Rig) -> None:
    worker = rig.worker()
    [song] = rig.accept("stall-1")
    eventually(lambda: rig.running(song, "separating"))
    scratch = rig.folder / "scratch"
    [left] = scratch.glob("msas-worker-*")
    assert any(path.stat().st_size for path in left.rglob("song"))
    worker.process.kill()
    worker.process.wait()  # to the last of its threads, which are of the lowest priority: only then is it dead
    rig.ready(rig.worker())
    assert not left.exists()
    rig.finish([song])
    assert len(list(scratch.glob("msas-worker-*"))) == 1


def test_44_workers_of_one_host_have_names_of_their_own_and_leave_each_other_s_songs_alone(rig: Rig) -> None:
    workers = [rig.worker(BLOCK_SECONDS="20", LEASE_SECONDS="30") for _ in range(2)]
    eventually(lambda: rig.queue.redis.zcard(f"{rig.queue.prefix}workers") == 2)
    [song] = rig.accept("sleep-1")
    names = [cast(bytes, name).decode() for name in rig.queue.redis.zrange(f"{rig.queue.prefix}workers", 0, -1)]
    assert len({name.rpartition("-")[2] for name in names}) == 2
    eventually(lambda: rig.running(song))
    [idle] = [worker for worker in workers if "job claimed" not in worker.log.read_text()]
    idle.process.terminate()
    assert idle.process.wait(2) == 0  # though it listens for much longer
    rig.finish([song])
    assert (rig.status(song).attempt, rig.separations(song)) == (1, 1)


def test_12_13_a_separation_that_hangs_ends_its_worker_and_is_tried_again_and_dead_after_three(
    hanging: tuple[Rig, Crowd, dict[str, str]],
) -> None:
    """One that stalls keeps its lease until its worker ends; one that hangs in C code can not even beat."""
    rig, crowd, songs = hanging
    eventually(lambda: rig.over(songs.values()), STALL + 3 * BOUND)
    for model, most in (("hang-1", BOUND), ("stall-1", STALL + BOUND)):
        rig.check([songs[model]])
        assert (rig.status(songs[model]).attempt, rig.separations(songs[model])) == (2, 2)
        assert took(rig, songs[model]) < most + LEASE
    dead = rig.status(songs["hang"])
    assert dead.error == {"code": "worker_lost", "message": WORKER_LOST}
    assert (dead.state, dead.attempt, rig.separations(songs["hang"])) == (State.FAILED, 3, 3)
    assert took(rig, songs["hang"]) < 3 * BOUND + LEASE
    eventually(lambda: len(crowd.exit_codes()) == 5, STALL + LEASE)
    ended = [member for member in crowd.members if not member.alive]
    assert all(member.exit_code == 1 and member.said("Timeout") for member in ended)


def took(rig: Rig, song: str) -> float:
    status = rig.status(song)
    return (at(status.ended_at) - at(status.enqueued_at)).total_seconds()
