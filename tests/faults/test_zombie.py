"""Workers that are paused, lose their lease, and come back: they change nothing any more. Numbers: FAULTS.md.

Most songs here are `marked`: each attempt makes other stems, so that one of the wrong attempt's would be seen. Those
have one stem only, so that a worker that stops once it stored a stem has stored them all.
"""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local import Service
from msas.status import JobStatus
from tests.support.crowd import crowd_on
from tests.support.observer import observed
from tests.support.processes import eventually
from tests.support.rig import BOUND, LEASE, Rig, go_on, is_stopped, lasting_buckets, stop, stopped

# Stopped there, another attempt follows; stopped there, the song is published already.
BEFORE = ("claim:after", "published:after", "fetch_song:after", "put_stem:before", "put_stem:after")
AFTER = ("put_report:after", "settle:before")
# Past its last look at the lease. What it then stores may replace the rival's, and is the same, byte for byte,
# because the same song gives the same stems: only this holds it together, so these songs are not marked.
BETWEEN = ("put_stem:after", "put_report:before")


@pytest.fixture(scope="module")
def buckets(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with lasting_buckets(tmp_path_factory.mktemp("buckets") / "rig", service.settings) as buckets:
        yield buckets


@pytest.fixture
def rig(service: Service, buckets: dict[str, str], tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path / "rig", service.settings, **buckets) as running:
        yield running


def published(rig: Rig, song: str) -> tuple[JobStatus, dict[str, Any], dict[str, str]]:
    """Return all that a caller can get of a song: its status, its report, and the SHA-256 of each stem."""
    found = rig.store.published(song)
    assert found
    status = rig.status(song)
    opened = {track.name: rig.store.open_stem(song, track.name, track.extension) for track in status.tracks}
    return status, found[0], {n: hashlib.sha256(b"".join(stem)).hexdigest() for n, stem in opened.items()}


def test_14_a_worker_paused_beyond_its_lease_stops_at_once_and_changes_nothing(rig: Rig) -> None:
    zombie = rig.worker()
    [song] = rig.accept("marked-1")
    with observed(rig.queue, [song]):
        eventually(lambda: rig.running(song, "separating"))
        with stopped(zombie):
            rig.ready(rival := rig.worker())
            eventually(lambda: rig.over([song]), LEASE + BOUND + 1)  # first of all, everyone gets a fresh lease
            before = published(rig, song)
        eventually(lambda: "lease lost" in zombie.log.read_text(), 1)
    rig.check([song])
    assert published(rig, song) == before
    assert (rig.status(song).attempt, rig.separations(song)) == (2, 2)
    assert "job succeeded" in rival.log.read_text()
    assert "job succeeded" not in zombie.log.read_text()
    assert zombie.alive


def test_15_16_a_worker_that_comes_back_at_any_point_after_another_finished_its_song_mixes_nothing(rig: Rig) -> None:
    points = (*BEFORE, *AFTER, *BETWEEN)
    lanes = [rig.lane(str(number)) for number in range(len(points))]
    marked = [lane.accept("marked", stems=("vocals",))[0] for lane in lanes[: -len(BETWEEN)]]
    songs = [*marked, *(lane.accept()[0] for lane in lanes[-len(BETWEEN) :])]
    zombies = crowd_on(lanes, [f"{point}:STOP" for point in points])
    eventually(lambda: all(zombie.stopped for zombie in zombies.members))
    crowd_on(lanes).ready()
    eventually(lambda: all(lane.over([song]) for lane, song in zip(lanes, songs, strict=True)), LEASE + 2 * BOUND)
    befores = [published(lane, song) for lane, song in zip(lanes, songs, strict=True)]
    for zombie in zombies.members:
        zombie.send(signal.SIGCONT)
    eventually(lambda: all(zombie.said("lease lost") for zombie in zombies.members), 5)
    for point, lane, song, before in zip(points, lanes, songs, befores, strict=True):
        after = published(lane, song)
        if song not in marked:  # the report may be the zombie's now: the same stems, but its own times
            assert (after[0], after[1]["stems"], after[2]) == (before[0], before[1]["stems"], before[2]), point
        else:
            assert after == before, point
            lane.check([song])
        assert lane.separations(song) == 1 or point not in AFTER, point
        assert lane.places() == [], point
    assert not any(zombie.said("job succeeded") or not zombie.alive for zombie in zombies.members)


def test_a_worker_that_comes_back_before_its_claim_leaves_the_job_to_others_or_takes_it_anew(rig: Rig) -> None:
    """What it holds was taken back meanwhile: on one lane a rival runs it, on the other it waits in line."""
    lanes = [rig.lane("taken"), rig.lane("waiting")]
    taken, waiting = lanes
    zombies = crowd_on(lanes, ["blmove:after:STOP"] * 2)
    songs = [lane.accept("marked-1")[0] for lane in lanes]
    eventually(lambda: all(zombie.stopped for zombie in zombies.members))
    crowd_on([taken])

    def back_in_line() -> bool:
        waiting.queue.tick()
        return waiting.queue.overview() == ([songs[1]], [], [])

    eventually(back_in_line, BOUND)
    eventually(lambda: taken.running(songs[0]))
    for zombie in zombies.members:
        zombie.send(signal.SIGCONT)
    eventually(lambda: waiting.running(songs[1]), 1)
    assert [lane.queue.overview() for lane in lanes] == [([], [song], []) for song in songs]
    for lane, song in zip(lanes, songs, strict=True):
        lane.finish([song])
        assert (lane.status(song).attempt, lane.separations(song)) == (1, 1)
    assert [zombie.said("job claimed") for zombie in zombies.members] == [False, True]


def test_a_song_deleted_while_its_worker_was_paused_stays_deleted(rig: Rig) -> None:
    zombie = rig.worker(CRASH_AT="put_report:before:STOP")
    [song] = rig.accept()
    eventually(lambda: is_stopped(zombie))
    rig.ready(rig.worker())
    rig.removed(song)
    go_on(zombie)
    eventually(lambda: any(word in zombie.log.read_text() for word in ("job cancelled", "lease lost")), 5)
    eventually(lambda: rig.queue.status(song) is None and not rig.objects(song), 10)


def test_stopping_and_going_on_in_time_costs_nothing(rig: Rig) -> None:
    worker = rig.worker()
    [song] = rig.accept("marked-1")
    eventually(lambda: rig.running(song, "separating"))
    stop(worker)
    eventually(lambda: is_stopped(worker))
    go_on(worker)
    rig.finish([song])
    assert (rig.status(song).attempt, rig.separations(song)) == (1, 1)
