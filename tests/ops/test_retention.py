"""Ended jobs are kept for KEEP_DAYS in Redis and in the store, then deleted from both."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local import Service
from msas.job import Job, Status, compute_songhash
from msas.options import Options
from msas.queue import Leader
from msas.removal import remove
from msas.upkeep.sweep import Sweep
from tests.support.callbacks import callback_sender, going, hook
from tests.support.processes import eventually
from tests.support.reconcile import LEADER, reconcile
from tests.support.rig import Rig, new_song

DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def rig(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Rig(tmp_path_factory.mktemp("retention") / "rig", service.settings, reconcile_seconds=3600.0) as running:
        running.ready(running.worker())
        yield running


def sweep(rig: Rig, keep_days: float = 7, grace_seconds: float = 3600) -> dict[str, int]:
    return reconcile(rig.queue, rig.store, keep_days, grace_seconds)


def forgotten(rig: Rig) -> str:
    """Put a song and its job's message into the store, as they lie there once Redis forgot the job."""
    content, options = new_song(), Options("quick", format="wav")
    job = Job(compute_songhash(io.BytesIO(content), options), options, "song.wav")
    rig.store.put_song(job.songhash, io.BytesIO(content), len(content))
    rig.store.put_message(job.songhash, job.message())
    return job.songhash


def age(rig: Rig, songhash: str, days: float) -> None:
    """Let the job have ended so many days ago."""
    rig.queue.redis.zincrby(f"{rig.queue.prefix}ended", -days * DAY_MS, songhash)


def test_a_job_and_its_objects_are_deleted_together_after_keep_days_and_not_before(rig: Rig) -> None:
    old, young = rig.accept(count=2)
    failed = rig.accept_content(b"these are words" * 50)
    eventually(lambda: rig.over([old, young, failed]))
    for songhash in (old, failed):
        age(rig, songhash, 7.01)
    age(rig, young, 6.99)
    assert sweep(rig)["removed"] == 2
    assert [rig.queue.job(songhash) for songhash in (old, failed)] == [None, None]
    assert [rig.objects(songhash) for songhash in (old, failed)] == [[], []]
    rig.whole(young, rig.job(young))
    assert sweep(rig)["removed"] == 0


def test_redis_keeps_nothing_of_deleted_jobs(rig: Rig) -> None:
    [first] = rig.accept()
    rig.finish([first])
    before = sizes(rig)
    songs = rig.accept(count=10)
    rig.finish(songs)
    for songhash in songs:
        age(rig, songhash, 8)
    for number in range(200):  # these have nothing in the store
        assert rig.queue.restore_result(f"{number:056x}", rig.queue.now() - 8 * DAY_MS)
    assert len(sizes(rig)) >= len(before) + 200

    queue_only = Sweep(rig.queue, rig.store, Leader(rig.queue, 60, LEADER), keep_days=7, first_check_seconds=0)
    queue_only.run()

    assert queue_only.counts["removed"] == 210
    assert sizes(rig) == before
    rig.whole(first, rig.job(first))


def sizes(rig: Rig) -> dict[bytes, int]:
    """Return every key of our Redis with its number of elements; 1 for a string.

    Left out are the log, the queue's counters, and what the upkeep notes: they are there from their first use on.
    """
    redis: Any = rig.queue.redis
    count = {b"list": redis.llen, b"hash": redis.hlen, b"zset": redis.zcard, b"set": redis.scard}
    names = [rig.settings.log_list, *(f"{rig.queue.prefix}{name}" for name in ("counters", "compared", "leader"))]
    fixed = {name.encode() for name in names}
    keys = [key for key in redis.scan_iter() if key not in fixed]
    return {key: count.get(redis.type(key), redis.exists)(key) for key in keys}


def test_objects_that_no_job_and_no_report_claims_are_deleted_and_those_of_running_jobs_kept(
    rig: Rig,
) -> None:
    [orphan] = rig.accept()
    rig.finish([orphan])
    [running] = rig.accept("sleep-1")
    eventually(lambda: rig.running(running, "separating"))
    rig.queue.redis.delete(rig.queue.job_key(orphan))
    rig.queue.redis.zrem(f"{rig.queue.prefix}ended", orphan)
    rig.store.minio.remove_object(rig.settings.bucket_out, f"{orphan}-report.json")  # else it would come back
    assert sweep(rig)["removed"] == 0
    assert rig.objects(orphan)
    sweep(rig, grace_seconds=-5)  # the store's clock counts whole seconds
    assert rig.objects(orphan) == []
    assert rig.running(running)
    rig.finish([running])


def test_a_second_sweep_removes_what_the_first_left(rig: Rig) -> None:
    [song] = rig.accept()
    rig.finish([song])
    assert rig.queue.cancel(song, "somebody who died") == "succeeded"
    assert sweep(rig)["removed"] == 0, "somebody is at it"
    rig.queue.redis.hset(rig.queue.job_key(song), "removing", 1)
    assert sweep(rig)["removed"] == 1
    assert (rig.queue.job(song), rig.objects(song)) == (None, [])


def test_the_buckets_have_a_rule_that_outlives_our_own_retention(service: Service, tmp_path: Path) -> None:
    with Rig(tmp_path / "rig", service.settings) as rig:
        rig.store.make_buckets()
        rig.keeper()

        def days() -> list[int | None]:
            buckets = (rig.settings.bucket_in, rig.settings.bucket_out)
            rules = [rig.store.minio.get_bucket_lifecycle(bucket) for bucket in buckets]
            return [rule.expiration.days for found in rules if found for rule in found.rules if rule.expiration]

        eventually(lambda: days() == [15, 15], 10)


def test_an_unreadable_object_does_not_end_the_sweep(rig: Rig) -> None:
    odd, song = "0" * 56, forgotten(rig)
    rig.store.minio.put_object(rig.settings.bucket_out, f"{odd}-report.json", io.BytesIO(b"no JSON"), 7)
    assert sweep(rig)["enqueued"] == 1
    rig.finish([song])
    rig.store.remove_song(odd)


def test_a_song_that_lost_a_stem_is_still_there_after_redis_forgot_it(rig: Rig) -> None:
    [song] = rig.accept()
    rig.finish([song])
    report, etag = rig.store.report_and_etag(song)
    assert report
    assert rig.store.put_report(report.without("drums"), etag)
    rig.queue.redis.delete(rig.queue.job_key(song))
    assert sweep(rig)["published"] == 1
    assert [track.name for track in rig.job(song).tracks] == ["vocals", "bass", "other"]
    assert rig.queue.enqueue(Job(song, Options("quick", format="wav"), "song.wav"))[0], "it lacks a stem"
    rig.finish([song])
    assert len(rig.job(song).tracks) == 4


def test_a_song_unknown_to_redis_can_be_removed(rig: Rig) -> None:
    song = forgotten(rig)
    assert remove(rig.queue, rig.store, song) == "forgotten"
    assert (sweep(rig)["enqueued"], rig.objects(song), rig.queue.job(song)) == (0, [], None)
    assert remove(rig.queue, rig.store, song) == ""


def test_a_song_that_failed_as_it_was_just_published_has_succeeded(rig: Rig) -> None:
    [song] = rig.accept()
    rig.finish([song])
    key = rig.queue.job_key(song)
    rig.queue.redis.hset(key, mapping={"status": "failed", "error": '{"code": "worker_lost", "message": "Lost."}'})
    assert sweep(rig)["published"] == 1
    found = rig.job(song)
    assert (found.status, found.error) == (Status.SUCCEEDED, None)


def test_a_job_that_succeeded_but_has_no_report_is_forgotten(rig: Rig) -> None:
    [song] = rig.accept()
    rig.finish([song])
    rig.store.remove_song(song)
    assert rig.job(song).status is Status.SUCCEEDED

    assert sweep(rig)["lost"] == 1

    assert rig.queue.job(song) is None


def test_the_callback_of_a_song_that_redis_forgot_when_it_was_just_done_is_sent(rig: Rig) -> None:
    with hook() as receiver:
        [songhash] = rig.accept()
        rig.finish([songhash])
        eventually(lambda: rig.store.message(songhash) is None)  # else the worker removes ours
        callback = {"url": f"http://a.test:{receiver.port}/hook", "data": "done"}
        rig.store.put_message(songhash, Job(songhash, Options("quick", format="wav"), "song.wav", callback).message())
        rig.queue.redis.delete(rig.queue.job_key(songhash))
        assert sweep(rig)["published"] == 1
        going(callback_sender(rig.queue), lambda: receiver.requests)
        rig.whole(songhash, rig.job(songhash))
        assert [request.body for request in receiver.requests] == [b'"done"']
