"""Faults of the process that keeps Redis and the store in order. FAULTS.md numbers them."""

from __future__ import annotations

import pytest

from msas.queue import Leader, LeadershipLost, UpkeepRecord
from msas.stored_songs import list_songs
from tests.support.processes import eventually
from tests.support.reconcile import DAY, PAGE, Keeper, known, lost_jobs
from tests.support.rig import Rig


def test_another_process_continues_where_the_leader_was_killed(rig: Rig) -> None:
    """Fault 74. What the first process had done is not done again."""
    songs = lost_jobs(rig, 7)
    Leader(rig.queue, 600, "before").record(run_id=UpkeepRecord(rig.queue).run_id())
    killed, heir = Keeper(rig), Keeper(rig)
    killed.run(2)
    done = known(rig, songs)
    cursor = UpkeepRecord(rig.queue).progress().cursor

    rig.queue.redis.delete(f"{rig.queue.prefix}leader")
    is_due = heir.comparison.is_due(DAY)
    pages = heir.run()

    assert done == songs[: 2 * PAGE]
    assert cursor == f"{songs[2 * PAGE - 1]}~"
    assert is_due
    assert pages == 2
    assert (killed.comparison.counts["enqueued"], heir.comparison.counts["enqueued"]) == (4, 3)
    assert known(rig, songs) == songs
    progress = UpkeepRecord(rig.queue).progress()
    assert progress.cursor == ""
    assert progress.stored_bytes == sum(song.bytes for song in list_songs(rig.store)), "both parts are counted"


def test_a_process_that_lost_its_leadership_stops_after_the_song_in_hand(rig: Rig) -> None:
    """Fault 75."""
    songs, stopped, leader = lost_jobs(rig, 7), Keeper(rig), Keeper(rig)
    assert stopped.leader.lead()
    pages = stopped.comparison.run()
    next(pages)
    rig.queue.redis.delete(f"{rig.queue.prefix}leader")
    assert leader.leader.lead()
    stopped.leader._renew_at = 0.0  # a third of its time is over

    with pytest.raises(LeadershipLost):
        next(pages)

    assert known(rig, songs) == songs[:PAGE]
    leader.run()
    assert known(rig, songs) == songs


def test_a_cursor_of_a_process_that_no_longer_leads_is_not_kept(rig: Rig) -> None:
    """Fault 75."""
    first, second = Keeper(rig), Keeper(rig)
    assert first.leader.lead()
    rig.queue.redis.delete(f"{rig.queue.prefix}leader")
    assert second.leader.lead()

    with pytest.raises(LeadershipLost):
        first.leader.record(cursor="f")

    assert UpkeepRecord(rig.queue).progress().cursor == ""


def test_a_redis_that_lost_its_data_during_a_comparison_is_compared_from_the_beginning(rig: Rig) -> None:
    """Fault 76."""
    songs = lost_jobs(rig, 7)
    keeper = Keeper(rig)
    keeper.run(6)
    rig.queue.redis.flushall()

    keeper.run()

    assert known(rig, songs) == songs


def test_the_processes_of_the_service_compare_again_when_the_leader_is_killed(rig: Rig) -> None:
    """Fault 74. Real processes: the first is killed by the first job that it puts in line."""
    killed = rig.keeper(CRASH_AT="enqueue:after")
    songs = sorted(rig.accept(count=5))
    rig.queue.redis.flushall()
    assert killed.process.wait(60) == -9

    rig.keeper()

    eventually(lambda: known(rig, songs) == songs, 30)
    eventually(lambda: UpkeepRecord(rig.queue).progress().compared_at, 30)
