"""Faults of the process that keeps Redis and the store in order. FAULTS.md numbers them."""

from __future__ import annotations

import pytest

from msas.queue import Leader, LeadershipLost, UpkeepRecord
from msas.store.song_listing import list_songs
from msas.upkeep.sweep import Sweep
from tests.support.processes import eventually
from tests.support.reconcile import DAY, PAGE, Keeper, known, lost_jobs
from tests.support.rig import Rig


def test_another_process_continues_where_the_leader_was_killed(rig: Rig) -> None:
    """Fault 74. What the first process had done is not done again."""
    songs = lost_jobs(rig, 7)
    Leader(rig.queue, 600, "before").record_upkeep(run_id=UpkeepRecord(rig.queue).run_id())
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
    assert stopped.leader.acquire_leadership()
    pages = stopped.comparison.run()
    next(pages)
    rig.queue.redis.delete(f"{rig.queue.prefix}leader")
    assert leader.leader.acquire_leadership()
    stopped.leader._renew_at = 0.0  # a third of its time is over

    with pytest.raises(LeadershipLost):
        next(pages)

    assert known(rig, songs) == songs[:PAGE]
    leader.run()
    assert known(rig, songs) == songs


def test_a_cursor_of_a_process_that_no_longer_leads_is_not_kept(rig: Rig) -> None:
    """Fault 75."""
    first, second = Keeper(rig), Keeper(rig)
    assert first.leader.acquire_leadership()
    rig.queue.redis.delete(f"{rig.queue.prefix}leader")
    assert second.leader.acquire_leadership()

    with pytest.raises(LeadershipLost):
        first.leader.record_upkeep(cursor="f")

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


HOUR_MS = 3_600_000


def swept(rig: Rig, max_store_bytes: float) -> None:
    """Sweep once, in a process of which the store may hold so many bytes."""
    leader = Leader(rig.queue, 600)
    assert leader.acquire_leadership()
    Sweep(rig.queue, rig.store, leader, keep_days=7, first_check_seconds=60.0, max_store_bytes=max_store_bytes).run()
    leader.release_leadership()


def finished_hours_ago(rig: Rig, *hours: float) -> list[str]:
    """Separate a song for each of `hours`, and let its job have ended so long ago; count the store."""
    rig.ready(rig.worker())
    songs = rig.accept(count=len(hours))
    rig.finish(songs)
    for songhash, each in zip(songs, hours, strict=True):
        rig.queue.redis.zincrby(f"{rig.queue.prefix}ended", -each * HOUR_MS, songhash)
    keeper = Keeper(rig)
    keeper.run()
    keeper.leader.release_leadership()
    return songs


def stored_bytes(rig: Rig) -> int:
    return UpkeepRecord(rig.queue).progress().stored_bytes or 0


def test_a_store_that_is_nearly_full_loses_the_songs_that_ended_first(rig: Rig) -> None:
    """Fault 77."""
    songs = finished_hours_ago(rig, 3, 5, 2, 4)
    whole = stored_bytes(rig)

    swept(rig, whole * 0.7 / 0.9)  # so that a third has to go

    assert known(rig, songs) == [songs[0], songs[2]]
    rig.check([songs[0], songs[2]])
    assert [rig.objects(songhash) for songhash in (songs[1], songs[3])] == [[], []]
    assert stored_bytes(rig) == sum(song.bytes for song in list_songs(rig.store))


def test_songs_that_ended_within_an_hour_are_kept_however_full_the_store_is(rig: Rig) -> None:
    """Fault 77."""
    songs = finished_hours_ago(rig, 0.9, 1.1, 0)

    swept(rig, 1)

    assert known(rig, songs) == [songs[0], songs[2]]


def test_songs_are_kept_up_to_90_percent(rig: Rig) -> None:
    """Fault 77."""
    songs = finished_hours_ago(rig, 2, 3)

    swept(rig, stored_bytes(rig) / 0.9 + 10)

    assert known(rig, songs) == songs


def test_an_old_count_of_the_store_is_renewed_before_any_song_is_removed(rig: Rig) -> None:
    """Fault 78. The sum in Redis is wrong by far; songs are not removed because of it."""
    songs, keeper = finished_hours_ago(rig, 2, 3), Keeper(rig)
    whole = stored_bytes(rig)
    keeper.leader.record_upkeep(stored_bytes=100 * whole, counted_at=rig.queue.now() - 7 * HOUR_MS)

    swept(rig, 10 * whole)
    is_due = keeper.comparison.is_due(DAY)
    keeper.run()
    keeper.leader.release_leadership()
    swept(rig, 10 * whole)

    assert is_due
    assert known(rig, songs) == songs
    assert stored_bytes(rig) == whole


def test_the_sum_of_the_store_follows_what_is_added_and_removed(rig: Rig) -> None:
    """Fault 78. Between two counts."""
    [first] = finished_hours_ago(rig, 1)
    swept(rig, 0)
    [second] = rig.accept()
    rig.finish([second])
    eventually(lambda: rig.store.message(second) is None)
    song = next(song for song in list_songs(rig.store) if song.songhash == second)
    rig.queue.redis.zincrby(f"{rig.queue.prefix}ended", -60_000, second)  # a minute passes
    for field in ("swept_at", "counted_at"):
        rig.queue.redis.hincrby(f"{rig.queue.prefix}compared", field, -60_000)
    UpkeepRecord(rig.queue).note_received(second, song.bytes - rig.store.separated_bytes(second))  # as REST does

    swept(rig, 0)
    with_second, there = stored_bytes(rig), sum(song.bytes for song in list_songs(rig.store))
    rig.removed(first)

    assert with_second == there
    assert stored_bytes(rig) == song.bytes
