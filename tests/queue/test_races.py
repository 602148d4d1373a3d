"""Races between workers, reclaim and lost replies: each test fails if one safeguard of the queue is removed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from msas.job import State
from msas.problem import NotAudio, QueueUnavailable
from msas.queue import Held, Lease
from tests.support.faults import Decide, Fault, Killed
from tests.support.in_process import Place, Process, job, report_of

_REPORT: dict[str, Any] = report_of(job().songhash)
_PROBLEM = NotAudio("No.")
_ENDINGS: tuple[Callable[[Lease], Held], ...] = (
    lambda lease: lease.succeed(_REPORT),
    lambda lease: lease.fail(_PROBLEM),
    lambda lease: lease.retry(_PROBLEM),
    lambda lease: lease.wait(_PROBLEM),
    lambda lease: lease.release(),
)


@pytest.fixture
def place() -> Iterator[Place]:
    with Place() as made:
        yield made


def takes(process: Process) -> Lease:
    lease = process.receiver.take()
    assert lease, "there is a job for it"
    return lease


def lose(place: Place, process: Process) -> None:
    """Let the process's lease run out, and tick until what it held waits again."""
    place.lapse(process.name)
    place.queue.tick()
    place.due()
    place.queue.tick()


def test_a_claim_after_the_message_was_reclaimed_takes_nothing(place: Place) -> None:
    place.queue.enqueue(job())

    def paused(name: str) -> None:
        if name == "claim":
            lose(place, slow)

    slow = place.process(paused)
    assert slow.receiver.take() is None
    assert place.state() is State.QUEUED
    assert place.holders() == [place.queue.name]


def test_a_settle_by_a_worker_that_lost_its_lease_changes_nothing(place: Place) -> None:
    place.queue.enqueue(job())
    zombie_process = place.process()
    zombie = takes(zombie_process)
    lose(place, zombie_process)
    rival = takes(place.process())
    assert zombie.succeed(_REPORT) == "lost"
    assert zombie.retry(_PROBLEM) == "lost"
    assert place.state() is State.RUNNING
    assert rival.succeed(_REPORT) == "ok"


def test_a_renewal_by_a_worker_that_lost_its_lease_is_answered_lost(place: Place) -> None:
    place.queue.enqueue(job())
    process = place.process()
    zombie = takes(process)
    lose(place, process)
    assert zombie.beat() == "lost"
    takes(place.process())
    assert zombie.beat() == "lost"


def killing_after(calls: int) -> Decide:
    """Return what ends a process after so many calls."""
    left = iter([None] * calls)
    return lambda _: next(left, Fault.KILLED_BEFORE)


def test_a_message_is_in_redis_after_every_call_of_a_worker(place: Place) -> None:
    """A worker is killed after each call of its turn, until one turn is done."""
    place.process().accept()
    done = 0
    while place.state() is not State.SUCCEEDED:
        done += 1
        process = place.process(killing_after(done))
        try:
            process.worker.turn()
        except Killed:
            assert place.holders() or place.state() is State.SUCCEEDED, f"lost after {done} calls"
        lose(place, process)
        place.redis.hset(place.queue.job_key(job().songhash), "attempt", 0)


def test_a_job_that_lost_three_workers_fails(place: Place) -> None:
    place.queue.enqueue(job())
    for attempt in (1, 2, 3):
        process = place.process()
        assert takes(process).attempt == attempt
        lose(place, process)
    assert place.state() is State.FAILED
    assert place.holders() == []
    assert place.process().receiver.take() is None


def test_a_copy_of_an_ended_job_s_message_changes_nothing(place: Place) -> None:
    for number, end in enumerate(_ENDINGS[:2]):
        place.queue.enqueue(job(number))
        end(takes(place.process()))
        state = place.state(number)
        place.redis.lpush(place.queue.name, job(number).message())
        assert place.process().receiver.take() is None
        assert place.state(number) is state
        assert not place.left()


def test_a_tick_after_an_outage_renews_leases_instead_of_reclaiming(place: Place) -> None:
    place.queue.enqueue(job())
    process = place.process()
    lease = takes(process)
    place.lapse(process.name)
    place.redis.set(place.key("tick"), 1)  # nobody ticked while Redis was away
    place.queue.tick()
    assert place.state() is State.RUNNING
    assert lease.attempt == 1
    assert lease.succeed(_REPORT) == "ok"


def test_a_settle_that_is_sent_twice_is_answered_the_same_and_changes_nothing(place: Place) -> None:
    for number, settle in enumerate(_ENDINGS):
        place.queue.enqueue(job(number))
        lease = takes(place.process())
        assert settle(lease) == "ok"
        before = place.snapshot()
        assert settle(lease) == "ok"
        assert place.snapshot() == before, "and changes nothing"
        place.redis.flushall()


def test_a_worker_continues_with_a_message_whose_pop_reply_was_lost(place: Place) -> None:
    place.process().accept()
    losses = iter([Fault.REPLY_LOST])
    process = place.process(lambda name: next(losses, None) if name == "blmove" else None)
    for _ in range(3):
        try:
            process.worker.turn()
        except QueueUnavailable:
            continue
    assert place.state() is State.SUCCEEDED


def test_a_copy_in_a_lost_worker_s_list_leaves_the_running_job_alone(place: Place) -> None:
    """The lost worker had the job before, lost its lease, and popped a foreign copy of the message before it died."""
    place.queue.enqueue(job())
    process = place.process()
    takes(process)
    lose(place, process)
    rival = takes(place.process())
    place.redis.lpush(place.queue.name, job().message())
    process.receiver.beat(None)
    place.redis.lmove(place.queue.name, process.receiver.taken, "RIGHT", "LEFT")
    lose(place, process)
    assert rival.beat() == "ok"
    assert place.state() is State.RUNNING
    assert len(place.holders()) == 1
