"""Workers that are paused, lose their lease, and come back: they change nothing any more. Numbers: FAULTS.md."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local import Service
from local.child import Child
from msas.job import State
from tests.conftest import eventually
from tests.observer import observed
from tests.rig import BOUND, Rig, go_on, is_stopped, stop, stopped


@pytest.fixture
def rig(service: Service, tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path / "rig", service.settings) as running:
        yield running


def report_of(rig: Rig, song: str) -> dict[str, Any]:
    published = rig.store.published(song)
    assert published
    return published[0]


def stems_of(rig: Rig, song: str) -> dict[str, str]:
    """Return the SHA-256 of each stem as it lies in the store."""
    tracks = rig.status(song).tracks
    opened = {track.name: rig.store.open_stem(song, track.name, track.extension) for track in tracks}
    return {name: hashlib.sha256(b"".join(stem.chunks)).hexdigest() for name, stem in opened.items()}


def gave_up(worker: Child) -> bool:
    return "lease lost" in worker.log.read_text()


def test_14_a_worker_paused_beyond_its_lease_stops_at_once_and_changes_nothing(rig: Rig) -> None:
    zombie = rig.worker()
    [song] = rig.accept("sleep-1")
    with observed(rig.queue, [song]):
        eventually(lambda: rig.running(song, "separating"))
        rig.ready(rival := rig.worker())
        with stopped(zombie):
            eventually(lambda: rig.over([song]), BOUND + 3)
            before = (rig.status(song), report_of(rig, song), stems_of(rig, song))
        eventually(lambda: gave_up(zombie), 1)
    rig.check([song])
    assert (rig.status(song), report_of(rig, song), stems_of(rig, song)) == before
    assert rig.separations(song) == 2
    assert "job succeeded" in rival.log.read_text()
    assert "job succeeded" not in zombie.log.read_text()


def test_15_a_song_whose_report_is_stored_is_not_separated_again(rig: Rig) -> None:
    zombie = rig.worker(CRASH_AT="put_report:after:STOP")
    [song] = rig.accept()
    eventually(lambda: rig.store.published(song))
    rig.worker()
    eventually(lambda: rig.over([song]), BOUND + 1)
    before = (rig.status(song), report_of(rig, song))
    go_on(zombie)
    eventually(lambda: gave_up(zombie), 5)
    rig.check([song])
    assert (rig.status(song), report_of(rig, song)) == before
    assert rig.separations(song) == 1


def test_16_a_worker_that_comes_back_while_it_stores_mixes_nothing(rig: Rig) -> None:
    lanes = [rig.lane(point) for point in ("put_stem:after", "put_report:before", "settle:before")]
    zombies = [lane.worker(CRASH_AT=f"{lane.settings.work_queue.removeprefix('queue-')}:STOP") for lane in lanes]
    songs = [lane.accept()[0] for lane in lanes]
    eventually(lambda: all(is_stopped(zombie) for zombie in zombies))
    for lane in lanes:
        lane.worker()
    for lane, song, zombie in zip(lanes, songs, zombies, strict=True):
        eventually(lambda lane=lane, song=song: lane.over([song]), BOUND + 3)  # type: ignore[misc]
        status, stems = lane.status(song), stems_of(lane, song)
        go_on(zombie)
        eventually(lambda zombie=zombie: gave_up(zombie), 5)  # type: ignore[misc]
        # A report that was on its way may have replaced the rival's: then it names the same stems.
        assert report_of(lane, song)["stems"] == (status.report or {})["stems"]
        assert (lane.status(song), stems_of(lane, song)) == (status, stems)
        assert status.state is State.SUCCEEDED


def test_a_worker_that_comes_back_before_its_claim_leaves_the_job_to_others(rig: Rig) -> None:
    zombie = rig.worker(CRASH_AT="blmove:after:STOP")
    eventually(lambda: rig.queue.redis.zcard(f"{rig.queue.prefix}workers"))
    [song] = rig.accept("sleep-1")
    eventually(lambda: is_stopped(zombie))
    rig.worker()
    eventually(lambda: rig.running(song), BOUND + 1)
    go_on(zombie)
    rig.finish([song])
    assert (rig.status(song).attempt, rig.separations(song)) == (1, 1)


def test_a_song_deleted_while_its_worker_was_paused_stays_deleted(rig: Rig) -> None:
    zombie = rig.worker(CRASH_AT="put_report:before:STOP")
    [song] = rig.accept()
    eventually(lambda: is_stopped(zombie))
    rest = rig.rest()
    rig.ready(rig.worker())
    rig.removed(song)
    go_on(zombie)
    eventually(lambda: "job cancelled" in zombie.log.read_text() or gave_up(zombie), 5)
    eventually(lambda: rig.queue.status(song) is None and not rig.objects(song), 10)
    assert rest.alive


def test_stopping_and_going_on_in_time_costs_nothing(rig: Rig) -> None:
    worker = rig.worker()
    [song] = rig.accept("sleep-1")
    eventually(lambda: rig.running(song, "separating"))
    stop(worker)
    eventually(lambda: is_stopped(worker))
    go_on(worker)
    rig.finish([song])
    assert (rig.status(song).attempt, rig.separations(song)) == (1, 1)
