"""What strangers push, what comes twice, and in which order songs are begun. Numbers: FAULTS.md."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import Service
from msas.job import songhash as songhash_of
from msas.options import Options
from tests.conftest import eventually
from tests.faultproxy import FaultProxy
from tests.rig import BOUND, Rig, song


@pytest.fixture
def rig(service: Service, tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path / "rig", service.settings) as running:
        yield running


def message_of(rig: Rig, songhash: str) -> bytes:
    message = rig.store.message(songhash)
    assert message
    return message


def push(rig: Rig, message: bytes, times: int = 1) -> None:
    rig.queue.redis.lpush(rig.queue.name, *[message] * times)


def test_35_copies_of_a_message_vanish_while_its_job_waits_runs_and_after_it_is_done(rig: Rig) -> None:
    [running, waiting] = rig.accept("sleep-1", count=2)
    [delayed] = rig.accept("raise-1")
    messages = {songhash: message_of(rig, songhash) for songhash in (running, waiting, delayed)}
    worker = rig.worker()
    for songhash in (running, waiting):
        push(rig, messages[songhash], 5)
        eventually(lambda s=songhash: rig.running(s))  # type: ignore[misc]
        push(rig, messages[songhash], 5)
    eventually(lambda: rig.separations(delayed))
    push(rig, messages[delayed], 5)
    rig.finish([running, waiting, delayed])
    for message in messages.values():
        push(rig, message, 5)
    rig.finish([running, waiting, delayed])
    assert [rig.separations(songhash) for songhash in (running, waiting, delayed)] == [1, 1, 2]
    assert worker.alive


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
    hashes = [songhash_of(content, Options("quick")) for content in (small, large)]
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


def test_39_a_worker_killed_while_it_ticks_leaves_the_rest_to_the_next(rig: Rig) -> None:
    ticking = rig.worker(CRASH_AT="tick:after")
    ticking.process.wait(10)
    [retried] = rig.accept("raise-1")
    rig.worker()
    victim = rig.worker(CRASH_AT="tick:before")
    rig.finish([retried])
    victim.process.wait(10)


def test_40_many_ticks_at_once_move_a_job_once(rig: Rig) -> None:
    worker = rig.worker()
    songs = rig.accept("sleep-60", count=1) + rig.accept(count=20)
    eventually(lambda: rig.running(songs[0], "separating"))
    worker.process.kill()
    worker.process.wait()

    def tick() -> None:
        for _ in range(100):
            rig.queue.tick()

    def back() -> bool:
        threads = [threading.Thread(target=tick) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return songs[0] in rig.queue.overview()[0]

    eventually(back, BOUND + 2)
    waiting, running, delayed = rig.queue.overview()
    assert sorted(waiting) == sorted(songs)
    assert (running, delayed) == ([], [])
    assert rig.status(songs[0]).attempt == 1


def test_45_songs_are_begun_in_the_order_they_came_in_even_when_replies_are_lost(
    service: Service, tmp_path: Path
) -> None:
    proxy = FaultProxy(("127.0.0.1", 0))
    with Rig(tmp_path / "rig", service.settings, redis_port=proxy.port) as rig:
        proxy.target = ("127.0.0.1", rig.own_redis_port)
        songs = rig.accept(count=20)
        worker = rig.worker()
        for number in range(5):
            eventually(lambda n=number: rig.over(songs[: 3 * n]))  # type: ignore[misc]
            proxy.lose_replies = 1
        rig.finish(songs)
        assert begun(worker.log.read_text()) == songs
        proxy.close()


def begun(log: str) -> list[str]:
    events = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    return list(dict.fromkeys(event["songhash"] for event in events if event["event"] == "job claimed"))
