"""What strangers push, what comes twice, and in which order songs are begun. Numbers: FAULTS.md."""

from __future__ import annotations

import base64
import io
import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from local import Service
from msas.job import Job
from msas.job import songhash as songhash_of
from msas.options import Options
from tests.support.crowd import Crowd, crowd_on
from tests.support.faultproxy import FaultProxy
from tests.support.observer import begun, observed
from tests.support.processes import eventually
from tests.support.rig import BOUND, LEASE, RECONCILE, Rig, lasting_buckets, song

NEW = 4_000_000  # songs that the rig makes have smaller numbers


@pytest.fixture(scope="module")
def buckets(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with lasting_buckets(tmp_path_factory.mktemp("buckets") / "rig", service.settings) as buckets:
        yield buckets


@pytest.fixture
def rig(service: Service, buckets: dict[str, str], tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path / "rig", service.settings, **buckets) as running:
        yield running


def message_of(rig: Rig, songhash: str) -> bytes:
    message = rig.store.message(songhash)
    assert message
    return message


def push(rig: Rig, message: bytes, times: int = 1) -> None:
    rig.queue.redis.lpush(rig.queue.name, *[message] * times)


def test_35_copies_of_a_message_vanish_while_its_job_waits_runs_and_after_it_is_done(rig: Rig) -> None:
    [running], [delayed] = rig.accept("sleep-2"), rig.accept("raise-1")
    messages = {songhash: message_of(rig, songhash) for songhash in (running, delayed)}
    for message in messages.values():
        push(rig, message, 5)
    crowd = Crowd(rig, [{}, {}])
    with observed(rig.queue, [running, delayed]):
        eventually(lambda: rig.separations(delayed))
        push(rig, messages[delayed], 5)
        eventually(lambda: rig.running(running))
        push(rig, messages[running], 5)
        eventually(lambda: not rig.queue.redis.exists(rig.queue.name))  # the other worker drops them
        assert rig.running(running)
        rig.finish([running, delayed])
        for message in messages.values():
            push(rig, message, 5)
        rig.finish([running, delayed])
    assert (rig.separations(running), rig.separations(delayed)) == (1, 2)
    assert crowd.exit_codes() == {}


GARBAGE = {
    "noise": bytes(range(256)),
    "null": b"null",
    "a number": b"7",
    "a megabyte of brackets": b"[" * 1_000_000,
    "no hash": b'{"data": "AAAA"}',
    "a hash that climbs": b'{"hash": "../../etc/passwd"}',
    "nothing": b"",
}


def test_36_garbage_ends_on_the_dead_list_with_a_reason_and_the_worker_goes_on(rig: Rig) -> None:
    worker = rig.worker()
    for message in GARBAGE.values():
        push(rig, message)
    rig.finish(rig.accept())
    entries = [json.loads(entry) for entry in rig.dead()]
    assert len(entries) == len(GARBAGE)
    assert all(
        entry["reason"] and entry["bytes"] == len(m)
        for entry, m in zip(reversed(entries), GARBAGE.values(), strict=True)
    )
    assert worker.alive


def test_36_a_song_inside_its_message_is_separated_whatever_its_size(rig: Rig) -> None:
    worker = rig.worker()
    small, large = song(1), padded(song(2), 16_000_000)
    hashes = [songhash_of(io.BytesIO(content), Options("quick")) for content in (small, large)]
    for songhash, content in zip(hashes, (small, large), strict=True):
        push(rig, json.dumps({"hash": songhash, "data": base64.b64encode(content).decode()}).encode())
    broken = json.dumps({"hash": "b" * 56, "data": "no base64!"}).encode()
    push(rig, broken)
    eventually(lambda: all(rig.queue.status(songhash) for songhash in hashes) and rig.over(hashes) and rig.dead())
    rig.check(hashes)
    assert "base64" in json.loads(rig.dead()[0])["reason"]
    assert worker.alive


def padded(wave: bytes, size: int) -> bytes:
    """Return a WAV file with so many bytes more, in a chunk that nobody reads."""
    chunks = wave[12:] + b"JUNK" + size.to_bytes(4, "little") + bytes(size)
    return b"RIFF" + (4 + len(chunks)).to_bytes(4, "little") + b"WAVE" + chunks


def test_39_a_worker_killed_around_the_tick_that_takes_a_job_back_leaves_the_rest_to_the_next(rig: Rig) -> None:
    lanes = [rig.lane(moment) for moment in ("before", "after")]
    songs = [lane.accept("stall-1")[0] for lane in lanes]
    holders = crowd_on(lanes)
    eventually(lambda: all(lane.running(s, "separating") for lane, s in zip(lanes, songs, strict=True)))
    for lane, holder in zip(lanes, holders.members, strict=True):
        lane.queue.tick()
        holder.send(signal.SIGKILL)
    # With a lease as long as this they first tick when that of the holders has run out.
    ticking = crowd_on(lanes, ["tick:before", "tick:after"], LEASE_SECONDS=str(7 * LEASE))
    assert ticking.ended() == [-signal.SIGKILL] * 2
    assert [lane.queue.overview() for lane in lanes] == [([], [songs[0]], []), ([], [], [songs[1]])]
    crowd_on(lanes).ready()
    over = LEASE + BOUND  # after a time without ticks everyone first gets a fresh lease
    eventually(lambda: all(lane.over([songhash]) for lane, songhash in zip(lanes, songs, strict=True)), over)
    for lane, songhash in zip(lanes, songs, strict=True):
        lane.check([songhash])
        assert (lane.status(songhash).attempt, lane.separations(songhash)) == (2, 2)


def test_40_many_ticks_at_once_move_a_job_once(rig: Rig) -> None:
    """Of twenty-two jobs one is due for its next try, and one was held by a worker that is lost."""
    worker = rig.worker(RETRY_SECONDS=str(2 * LEASE))
    [delayed], [held], others = rig.accept("raise"), rig.accept("sleep-60"), rig.accept(count=20)
    eventually(lambda: rig.running(held, "separating"))
    worker.process.kill()
    worker.process.wait()
    assert rig.queue.overview() == (others, [held], [delayed])

    def tick() -> None:
        for _ in range(100):
            rig.queue.tick()

    def back() -> bool:
        with ThreadPoolExecutor(8) as pool:
            for ticking in [pool.submit(tick) for _ in range(8)]:
                ticking.result()
        return {delayed, held} <= set(rig.queue.overview()[0])

    eventually(back, 2 * LEASE + BOUND)
    waiting, running, late = rig.queue.overview()
    assert sorted(waiting) == sorted([delayed, held, *others])
    assert (running, late) == ([], [])
    assert (rig.status(delayed).attempt, rig.status(held).attempt) == (1, 1)


def test_10_a_song_that_comes_in_the_moment_a_worker_is_told_to_stop_is_never_lost(rig: Rig) -> None:
    """Fifty workers, each with a line of its own, so that each song can come to the one that is told to stop."""
    lanes = [rig.lane(f"told-{number}") for number in range(50)]
    # None is lost, none has to hand back what it began, and none listens only now and then.
    patient = {"LEASE_SECONDS": "30", "DRAIN_SECONDS": "30", "BLOCK_SECONDS": "25"}
    crowd = crowd_on(lanes, **patient)
    jobs = [stored(lane, number) for number, lane in enumerate(lanes)]
    crowd.ready()
    eventually(lambda: rig.queue.redis.info("clients")["blocked_clients"] == len(lanes))
    for number, (lane, job, member) in enumerate(zip(lanes, jobs, crowd.members, strict=True)):
        if number % 5:
            lane.queue.enqueue(job)
            time.sleep(number % 5 * 0.0003)
        member.send(signal.SIGTERM)
        lane.queue.enqueue(job)
    assert crowd.ended() == [0] * len(lanes)
    waiting = {lane: job for lane, job in zip(lanes, jobs, strict=True) if not lane.over([job.songhash])}
    assert all(lane.queue.overview() == ([job.songhash], [], []) for lane, job in waiting.items())
    assert waiting
    some = list(waiting)[::4]
    crowd_on(some, **patient)
    for lane, job in zip(lanes, jobs, strict=True):
        if lane in some or lane not in waiting:
            lane.finish([job.songhash])
            assert (lane.status(job.songhash).attempt, lane.separations(job.songhash)) == (1, 1)


def stored(rig: Rig, number: int) -> Job:
    """Return a job whose song and message are in the store, but nowhere else."""
    content, options = song(NEW + number), Options("quick", stems=("vocals",), format="wav")
    job = Job(songhash_of(io.BytesIO(content), options), options, "song.wav")
    rig.store.put_song(job.songhash, io.BytesIO(content), len(content))
    rig.store.put_message(job.songhash, job.message())
    return job


def test_37_a_running_job_that_is_cancelled_stops_at_once_and_is_gone_whatever_happens_to_its_worker(rig: Rig) -> None:
    points = ("remove_song:before", "remove_song:after")
    crowd = Crowd(rig, [*({"CRASH_AT": point, "RECONCILE_SECONDS": "3600"} for point in points), {}])
    crowd.ready()
    *doomed, healthy = crowd.members
    songs = rig.accept("sleep-60", count=3)
    eventually(lambda: all(rig.running(songhash, "separating") for songhash in songs))
    for songhash in songs:
        rig.removed(songhash)
    eventually(lambda: healthy.said("job cancelled"), 1)
    eventually(lambda: not any(member.alive for member in doomed), 1)
    eventually(lambda: not any(left_of(rig, songhash) for songhash in songs), LEASE + BOUND + 2 * RECONCILE)
    assert [rig.separations(songhash) for songhash in songs] == [1, 1, 1]
    assert (rig.places(), healthy.alive) == ([], True)


def left_of(rig: Rig, songhash: str) -> list[str]:
    """Return every key of Redis and of the store that names a song."""
    return [str(key) for key in rig.queue.redis.scan_iter() if songhash.encode() in key] + rig.objects(songhash)


def test_45_songs_are_begun_in_the_order_they_came_in_even_when_replies_are_lost(
    service: Service, buckets: dict[str, str], tmp_path: Path
) -> None:
    proxy = FaultProxy(("127.0.0.1", 0))
    with Rig(tmp_path / "rig", service.settings, redis_port=proxy.port, **buckets) as rig:
        proxy.target = ("127.0.0.1", rig.own_redis_port)
        songs = rig.accept(count=20)
        worker = rig.worker()
        proxy.lose_reply_to = b"BLMOVE"  # the worker has taken a song then, and does not know it
        for number in range(1, 5):
            eventually(lambda n=number: rig.over(songs[: 3 * n]))  # type: ignore[misc]
            proxy.lose_replies = 1
        rig.finish(songs)
        assert begun(worker.log.read_text()) == songs
        proxy.close()
