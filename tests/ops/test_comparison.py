"""The full comparison of Redis with the store, and the sweeps in between: when they run, and what they set right."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from local import Service
from msas.job import Status
from msas.queue import Leader, UpkeepRecord
from msas.store.song_listing import list_songs
from msas.upkeep.sweep import Sweep
from tests.support.in_process import stored_messages
from tests.support.processes import eventually
from tests.support.reconcile import DAY, Keeper, known, lost_jobs
from tests.support.rig import Rig


@pytest.fixture(scope="module")
def lasting_rig(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Rig(tmp_path_factory.mktemp("comparison") / "rig", service.settings, reconcile_seconds=3600.0) as running:
        running.store.make_buckets()
        yield running


@pytest.fixture
def rig(lasting_rig: Rig) -> Iterator[Rig]:
    yield lasting_rig
    lasting_rig.reset()


def test_the_store_is_listed_song_by_song_from_any_place_on(rig: Rig) -> None:
    songs = sorted(rig.accept(count=5))
    for songhash in songs:
        rig.store.put_stem(songhash, "drums", "wav", io.BytesIO(b"drums"))
    rig.store.minio.put_object(rig.settings.bucket_out, "foreign", io.BytesIO(b"123"), 3)

    found = list(list_songs(rig.store))
    rest = list(list_songs(rig.store, found[1].cursor))
    inside = list(list_songs(rig.store, songs_only=True))

    assert [song.songhash for song in found] == [*songs, "foreign"]
    assert [song.is_song for song in found] == [True] * 5 + [False]
    assert [song.songhash for song in rest] == [*songs[2:], "foreign"]
    keys = [key for key, _ in found[0].objects]
    assert keys == [songs[0], f"{songs[0]}-drums.wav", f"{songs[0]}.json"]
    assert [len(song.objects) for song in inside] == [2] * 5
    assert found[-1].bytes == 3


def test_a_comparison_is_due_once_a_day_and_once_redis_was_started_anew_or_lost_its_data(rig: Rig) -> None:
    keeper = Keeper(rig)
    before = keeper.comparison.is_due(DAY)
    keeper.run()
    after = keeper.comparison.is_due(DAY)
    short = keeper.comparison.is_due(0.0)
    keeper.leader.record_upkeep(compared_at=rig.queue.now() - round(1000 * DAY))
    late = keeper.comparison.is_due(DAY)
    keeper.run()

    rig.redis.process.kill()
    rig.redis.process.wait()
    rig.restart_redis()
    restarted = keeper.comparison.is_due(DAY)
    keeper.run()
    compared = keeper.comparison.is_due(DAY)
    rig.queue.redis.flushall()

    assert (before, after, short, late) == (True, False, True, True)
    assert (restarted, compared, keeper.comparison.is_due(DAY)) == (True, False, True)


def test_all_jobs_come_back_over_many_pages_each_followed_by_a_pause(rig: Rig) -> None:
    songs = lost_jobs(rig, 7)
    keeper = Keeper(rig)

    pages = keeper.run()

    assert known(rig, songs) == songs
    assert keeper.comparison.counts["enqueued"] == 7
    assert pages == 8, "four for the songs that wait, and four for all"
    assert len(keeper.pauses) == pages
    assert min(keeper.pauses) > 0


def test_jobs_in_line_come_back_before_any_result(rig: Rig) -> None:
    rig.ready(rig.worker())
    done = rig.accept(count=3)
    rig.finish(done)
    for worker in [child for child in rig.children if child.name == "worker"]:
        worker.process.kill()
        worker.process.wait()
    waiting = rig.accept(count=2)
    eventually(lambda: not set(done) & set(stored_messages(rig.store)))
    rig.queue.redis.flushall()
    keeper = Keeper(rig)
    assert keeper.leader.acquire_leadership()

    pages = keeper.comparison.run()
    first = [next(pages) for _ in range(3)]  # five songs, two a page

    assert len(first) == 3
    assert (known(rig, waiting), known(rig, done)) == (waiting, [])
    assert [None for _ in pages]
    assert known(rig, done) == done


def test_songs_that_were_lost_in_the_store_are_forgotten_wherever_they_are_in_the_order(rig: Rig) -> None:
    rig.ready(rig.worker())
    songs = sorted(rig.accept(count=5))
    rig.finish(songs)
    lost = [songs[0], songs[2], songs[4]]
    for songhash in lost:
        rig.store.remove_song(songhash)
    keeper = Keeper(rig)

    keeper.run()

    assert known(rig, songs) == [songs[1], songs[3]]
    assert keeper.comparison.counts["lost"] == 3
    rig.check([songs[1], songs[3]])


def test_objects_that_no_job_claims_are_kept_for_an_hour(rig: Rig) -> None:
    song, stem = "1" * 56, "2" * 56
    rig.store.put_song(song, io.BytesIO(b"song"), 4)
    rig.store.put_stem(stem, "drums", "wav", io.BytesIO(b"drums"))
    young, old = Keeper(rig), Keeper(rig, grace_seconds=-5)  # the store's clock counts whole seconds

    young.run()
    kept = [rig.objects(song), rig.objects(stem)]
    rig.queue.redis.delete(f"{rig.queue.prefix}leader")
    old.run()

    assert kept == [[song], [f"{stem}-drums.wav"]]
    assert [rig.objects(song), rig.objects(stem)] == [[], []]
    assert old.comparison.counts["removed"] == 2


def test_a_comparison_that_skipped_a_song_is_repeated_after_an_hour(rig: Rig) -> None:
    odd = "3" * 56
    rig.store.minio.put_object(rig.settings.bucket_out, f"{odd}-report.json", io.BytesIO(b"no JSON"), 7)
    keeper = Keeper(rig)

    keeper.run()
    soon = keeper.comparison.is_due(DAY)
    keeper.leader.record_upkeep(compared_at=rig.queue.now() - 3_601_000)

    assert not soon
    assert keeper.comparison.is_due(DAY)


def sweep(rig: Rig, first_check_seconds: float = 60.0) -> Sweep:
    leader = Leader(rig.queue, 600, "sweeper")
    assert leader.acquire_leadership()
    made = Sweep(rig.queue, rig.store, leader, keep_days=7, first_check_seconds=first_check_seconds)
    made.run()
    leader.release_leadership()
    return made


def received_ago(rig: Rig, songhash: str, seconds: float) -> None:
    UpkeepRecord(rig.queue).note_received(songhash, 1)
    rig.queue.redis.zincrby(f"{rig.queue.prefix}received", -1000 * seconds, songhash)


def test_a_sweep_puts_in_line_what_rest_stored_but_could_not_enqueue(rig: Rig) -> None:
    [songhash] = lost_jobs(rig, 1)
    received_ago(rig, songhash, 61)

    counts = [sweep(rig).counts["enqueued"], sweep(rig).counts["enqueued"]]

    assert counts == [1, 0]
    assert rig.queue.list_all_jobs()[0] == [songhash]


def test_a_sweep_looks_again_after_twice_the_time_for_a_message_that_a_foreign_client_took(rig: Rig) -> None:
    [songhash] = rig.accept()
    received_ago(rig, songhash, 61)
    sweep(rig)
    rig.queue.redis.delete(rig.queue.name)
    sweep(rig)
    early = rig.queue.list_all_jobs()[0]

    rig.queue.redis.zincrby(f"{rig.queue.prefix}received", -60_000, songhash)
    rig.queue.redis.hincrby(f"{rig.queue.prefix}compared", "swept_at", -60_000)
    sweep(rig)

    assert early == []
    assert rig.queue.list_all_jobs()[0] == [songhash]


def test_a_sweep_forgets_which_songs_were_received_once_their_jobs_have_ended(rig: Rig) -> None:
    rig.ready(rig.worker())
    songs = rig.accept(count=2)
    rig.finish(songs)
    for songhash in songs:
        received_ago(rig, songhash, 61)
    received_ago(rig, "4" * 56, 2 * DAY)

    sweep(rig)

    assert not rig.queue.redis.exists(f"{rig.queue.prefix}received")


def test_a_sweep_removes_what_a_late_worker_stored_of_a_removed_song(rig: Rig) -> None:
    [songhash] = rig.accept()
    rig.removed(songhash)
    rig.store.put_stem(songhash, "drums", "wav", io.BytesIO(b"late"))
    rig.queue.redis.zincrby(f"{rig.queue.prefix}removed", -61_000, songhash)

    sweep(rig)

    assert rig.objects(songhash) == []


def test_a_removed_song_does_not_come_back_by_a_late_report(rig: Rig) -> None:
    rig.ready(rig.worker())
    [songhash] = rig.accept()
    rig.finish([songhash])
    report = rig.store.report(songhash)
    assert report
    rig.removed(songhash)
    rig.store.put_report(report)
    received_ago(rig, songhash, 61)

    sweep(rig)
    Keeper(rig).run()

    assert rig.queue.job(songhash) is None


def test_a_sweep_publishes_a_song_that_failed_although_its_report_was_stored(rig: Rig) -> None:
    rig.ready(rig.worker())
    [songhash] = rig.accept()
    rig.finish([songhash])
    rig.queue.redis.hset(rig.queue.job_key(songhash), mapping={"status": "failed", "error": '{"code": "worker_lost"}'})
    rig.queue.redis.zincrby(f"{rig.queue.prefix}ended", -61_000, songhash)

    sweep(rig)

    assert rig.job(songhash).status is Status.SUCCEEDED


def test_a_sweep_after_redis_clock_went_back_looks_at_everything_again(rig: Rig) -> None:
    [songhash] = lost_jobs(rig, 1)
    received_ago(rig, songhash, 61)
    Leader(rig.queue, 600, "sweeper").record_upkeep(swept_at=rig.queue.now() + 3_600_000)

    assert sweep(rig).counts["enqueued"] == 1
