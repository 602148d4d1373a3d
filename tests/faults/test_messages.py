"""Faults of the message queue: foreign messages, duplicates, lost order, reclaims at once. FAULTS.md numbers them."""

from __future__ import annotations

import base64
import io
import json
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local import Service
from msas.job import Job, Status, compute_songhash
from msas.options import Options
from msas.queue import Queue
from tests.support.faultproxy import FaultProxy
from tests.support.observer import begun, observed
from tests.support.processes import eventually
from tests.support.rig import Rig, new_song

GARBAGE = {
    "noise": bytes(range(256)),
    "null": b"null",
    "a number": b"7",
    "a megabyte of brackets": b"[" * 1_000_000,
    "no hash": b'{"data": "AAAA"}',
    "a hash that climbs": b'{"hash": "../../etc/passwd"}',
    "nothing": b"",
}


def message_of(rig: Rig, songhash: str) -> bytes:
    message = rig.store.message(songhash)
    assert message
    return message


def push(rig: Rig, message: bytes, times: int = 1) -> None:
    rig.queue.redis.lpush(rig.queue.name, *[message] * times)


def line_is_empty(rig: Rig) -> bool:
    return not rig.queue.redis.exists(rig.queue.name)


def test_copies_of_a_message_vanish_while_its_job_runs(rig: Rig) -> None:
    """Fault 35. A second worker drops the copies."""
    workers = [rig.worker(), rig.worker()]
    [running] = rig.accept("sleep-60")
    eventually(lambda: rig.running(running, "separating"))

    push(rig, message_of(rig, running), 5)
    eventually(lambda: line_is_empty(rig))

    assert rig.running(running, "separating")
    assert rig.separations(running) == 1
    assert all(worker.alive for worker in workers)


def test_copies_of_a_message_vanish_while_its_job_waits_and_after_it_ended(rig: Rig) -> None:
    """Fault 35."""
    [songhash] = rig.accept("raise-1")
    message = message_of(rig, songhash)
    push(rig, message, 5)
    workers = [rig.worker(), rig.worker()]

    with observed(rig.queue, [songhash]):
        eventually(lambda: rig.separations(songhash))
        push(rig, message, 5)
        rig.reclaim_until(lambda: rig.over([songhash]))
        rig.finish([songhash])
        push(rig, message, 5)
        rig.finish([songhash])

    assert rig.separations(songhash) == 2
    assert all(worker.alive for worker in workers)


def test_garbage_goes_to_the_dead_list_with_a_reason_and_the_worker_lives_on(rig: Rig) -> None:
    """Fault 36."""
    worker = rig.worker()

    for message in GARBAGE.values():
        push(rig, message)
    rig.finish(rig.accept())

    entries = [json.loads(entry) for entry in reversed(rig.dead())]
    assert [entry["bytes"] for entry in entries] == [len(message) for message in GARBAGE.values()]
    assert all(entry["reason"] for entry in entries)
    assert worker.alive


@pytest.mark.parametrize("size", [0, 16_000_000])
def test_a_song_inside_its_message_is_separated(rig: Rig, size: int) -> None:
    """Fault 36."""
    rig.worker()
    content = padded(new_song(), size)
    songhash = compute_songhash(io.BytesIO(content), Options("quick"))

    push(rig, json.dumps({"hash": songhash, "data": base64.b64encode(content).decode()}).encode())
    eventually(lambda: rig.queue.job(songhash) and rig.over([songhash]))

    rig.check([songhash])


def padded(wave: bytes, size: int) -> bytes:
    """Return a WAV file with so many bytes more, in a chunk that nobody reads."""
    chunks = wave[12:] + b"JUNK" + size.to_bytes(4, "little") + bytes(size)
    return b"RIFF" + (4 + len(chunks)).to_bytes(4, "little") + b"WAVE" + chunks


def test_a_message_with_invalid_base64_goes_to_the_dead_list(rig: Rig) -> None:
    """Fault 36."""
    worker = rig.worker()

    push(rig, json.dumps({"hash": "b" * 56, "data": "no base64!"}).encode())
    eventually(rig.dead)

    assert "base64" in json.loads(rig.dead()[0])["reason"]
    assert worker.alive


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_worker_killed_around_the_tick_that_reclaims_a_job_loses_nothing(rig: Rig, moment: str) -> None:
    """Fault 39. The killed worker reclaims in an ordinary turn of its upkeep."""
    holder = rig.worker()
    [songhash] = rig.accept("stall-1")
    eventually(lambda: rig.running(songhash, "separating"))
    holder.process.kill()
    holder.process.wait()
    # It reclaims once in 1.5 s, and must do so less than 9 s after the last time, or all workers get a fresh lease.
    reclaiming = rig.worker(CRASH_AT=f"reclaim:{moment}", LEASE_SECONDS="9")
    rig.queue.redis.set(f"{rig.queue.prefix}tick", rig.queue.now() - 1501)
    end_leases(rig)

    assert reclaiming.process.wait(60) == -signal.SIGKILL
    assert rig.queue.list_all_jobs() == (([], [songhash], []) if moment == "before" else ([], [], [songhash]))
    rig.expire_lease(holder)
    rig.worker()
    rig.reclaim_until(lambda: rig.over([songhash]))

    rig.check([songhash])
    assert rig.job(songhash).attempt == 2
    assert rig.separations(songhash) == 2


def end_leases(rig: Rig) -> None:
    """End the leases of all workers, without a reclaim."""
    for name in rig.worker_names():
        rig.queue.redis.zadd(f"{rig.queue.prefix}workers", {name: rig.queue.now() - 1})


def test_many_ticks_at_once_move_each_due_job_once(rig: Rig) -> None:
    """Fault 40. Of the jobs, one is due for its next attempt, and one was held by a worker that is lost."""
    worker = rig.worker(RETRY_SECONDS="60")
    [delayed], [held], others = rig.accept("raise"), rig.accept("sleep-60"), rig.accept(count=5)
    eventually(lambda: rig.running(held, "separating"))
    worker.process.kill()
    worker.process.wait()
    assert rig.queue.list_all_jobs() == (others, [held], [delayed])
    end_leases(rig)
    make_due(rig)

    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(lambda _: rig.reclaim(), range(200)):
            pass
    make_due(rig)  # what was held waits for its next attempt now
    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(lambda _: rig.reclaim(), range(200)):
            pass

    waiting, running, late = rig.queue.list_all_jobs()
    assert sorted(waiting) == sorted([delayed, held, *others])
    assert running == []
    assert late == []
    assert rig.job(delayed).attempt == 1
    assert rig.job(held).attempt == 1


def make_due(rig: Rig) -> None:
    """Let the delay of all jobs that wait for their next attempt be over."""
    delayed = f"{rig.queue.prefix}delayed"
    for message, _ in rig.queue.redis.zscan_iter(delayed):
        rig.queue.redis.zadd(delayed, {message: rig.queue.now() - 1})


def test_a_song_that_arrives_while_its_worker_is_told_to_stop_is_never_lost(rig: Rig) -> None:
    """Fault 10. Twenty workers, each with a queue of its own, so that each is told to stop when its song arrives."""
    # No worker loses its lease, hands back a song that it began, or stops listening by itself.
    patient: dict[str, Any] = {
        "LEASE_SECONDS": "1000",
        "DRAIN_SECONDS": "1000",
        "BLOCK_SECONDS": "500",
        "RECONCILE_SECONDS": "3600",
    }
    queues = [queue_named(rig, f"told-{number}") for number in range(20)]
    workers = [rig.worker(WORK_QUEUE=queue.name, **patient) for queue in queues]
    jobs = [stored_job(rig) for _ in queues]
    eventually(lambda: rig.queue.redis.info("clients")["blocked_clients"] == len(queues))

    for number, (queue, job, worker) in enumerate(zip(queues, jobs, workers, strict=True)):
        steps: list[Callable[[], object]] = [lambda q=queue, j=job: q.enqueue(j), worker.process.terminate]  # type: ignore[misc]
        for step in steps if number % 4 else reversed(steps):
            step()

    assert [worker.process.wait(60) for worker in workers] == [0] * len(workers)
    left = []
    for queue, job in zip(queues, jobs, strict=True):
        if queue.statuses([job.songhash])[job.songhash] is Status.SUCCEEDED:
            assert queue.list_all_jobs() == ([], [], [])
            assert rig.separations(job.songhash) == 1
        else:
            assert queue.list_all_jobs() == ([job.songhash], [], [])
            assert rig.separations(job.songhash) == 0
            left.append((queue, job))
    assert left, "at least the songs that came after the signal wait in line"

    queue, job = left[0]
    rig.worker(WORK_QUEUE=queue.name)
    eventually(lambda: queue.statuses([job.songhash])[job.songhash] is Status.SUCCEEDED)


def queue_named(rig: Rig, name: str) -> Queue:
    return Queue.from_settings(replace(rig.settings, work_queue=name))


def stored_job(rig: Rig) -> Job:
    """Return a job whose song and message are in the store, but nowhere else."""
    content, options = new_song(), Options("quick", stems=("vocals",), format="wav")
    job = Job(compute_songhash(io.BytesIO(content), options), options, "song.wav")
    rig.store.put_song(job.songhash, io.BytesIO(content), len(content))
    rig.store.put_message(job.songhash, job.message())
    return job


def test_a_running_job_that_is_cancelled_stops_and_is_gone(rig: Rig) -> None:
    """Fault 37."""
    worker = rig.worker()
    [songhash] = rig.accept("sleep-60")
    eventually(lambda: rig.running(songhash, "separating"))

    rig.removed(songhash)
    eventually(lambda: "job cancelled" in worker.log.read_text())

    eventually(lambda: not left_of(rig, songhash))
    assert rig.separations(songhash) == 1
    assert rig.places() == []
    assert worker.alive


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_cancelled_job_is_gone_when_its_worker_dies_while_it_removes_the_song(rig: Rig, moment: str) -> None:
    """Fault 37."""
    doomed = rig.worker(CRASH_AT=f"remove_song:{moment}")
    [songhash] = rig.accept("sleep-60")
    eventually(lambda: rig.running(songhash, "separating"))

    rig.removed(songhash)
    assert doomed.process.wait(60) == -signal.SIGKILL
    rig.worker()
    rig.keeper()
    rig.expire_lease(doomed)

    eventually(lambda: not left_of(rig, songhash))
    assert rig.separations(songhash) == 1
    assert rig.places() == []


def left_of(rig: Rig, songhash: str) -> list[str]:
    """Return every key of Redis and of the store that names a song."""
    return [str(key) for key in rig.queue.redis.scan_iter() if songhash.encode() in key] + rig.objects(songhash)


def test_songs_start_in_the_order_of_their_arrival_when_replies_are_lost(
    service: Service, spare_buckets: dict[str, str], tmp_path: Path
) -> None:
    """Fault 45."""
    proxy = FaultProxy(("127.0.0.1", 0))
    with Rig(tmp_path / "rig", service.settings, redis_port=proxy.port, lease_seconds=6.0, **spare_buckets) as rig:
        proxy.target = ("127.0.0.1", rig.own_redis_port)
        songs = rig.accept(count=10)
        proxy.lose_reply_to = b"BLMOVE"  # the worker has taken a song then, and does not know it

        worker = rig.worker()
        for number in (1, 2):
            eventually(lambda n=number: rig.over(songs[: 3 * n]))  # type: ignore[misc]
            proxy.lose_replies = 1
        rig.finish(songs, 60)

        assert begun(worker.log.read_text()) == songs
    proxy.close()
