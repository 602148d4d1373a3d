"""Races: pauses between two calls, kills, lost replies and repeated calls, each at the moment that matters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from msas.errors import NotAudio, QueueUnavailable
from msas.job import Status
from msas.queue import Lease, LeaseStatus
from tests.support.faults import Decide, Fault, Killed
from tests.support.in_process import METRICS, Place, Process, job
from tests.support.queue_time import reclaim
from worker.metrics import RESULTS

PROBLEM = NotAudio("No audio.")
ENDINGS: dict[str, Callable[[Lease], LeaseStatus]] = {
    "succeed": lambda lease: lease.succeed(),
    "fail": lambda lease: lease.fail(PROBLEM),
    "retry": lambda lease: lease.retry(PROBLEM),
    "wait": lambda lease: lease.postpone(PROBLEM),
    "release": lambda lease: lease.release(),
}


def claim(process: Process) -> Lease:
    """Take the next job, which must be there."""
    lease = process.consumer.claim_next()
    assert lease, "no job was in line"
    return lease


def test_a_claim_after_the_message_was_reclaimed_takes_nothing(place: Place) -> None:
    place.queue.enqueue(job())

    def pause(call: str) -> None:
        if call == "claim":
            reclaim(place.queue, slow.name)

    slow = place.process(pause)

    assert slow.consumer.claim_next() is None

    assert place.status() is Status.QUEUED
    assert place.holders() == [place.queue.name]


def test_a_settle_delayed_until_another_has_the_job_is_answered_lost(place: Place) -> None:
    place.queue.enqueue(job())
    rivals: list[Lease] = []

    def pause(call: str) -> None:
        if call == "settle":
            reclaim(place.queue, slow.name)
            rivals.append(claim(place.process()))

    slow = place.process(pause)
    lease = claim(slow)

    assert lease.succeed() == "lost"

    assert place.status() is Status.RUNNING
    assert rivals[0].succeed() == "ok"


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_settle_that_is_sent_twice_is_answered_the_same_and_changes_nothing(place: Place, ending: str) -> None:
    place.queue.enqueue(job())
    lease = claim(place.process())
    assert ENDINGS[ending](lease) == "ok"
    before = place.snapshot()

    assert ENDINGS[ending](lease) == "ok"

    assert place.snapshot() == before


def test_a_message_is_in_redis_after_each_call_of_a_worker(place: Place) -> None:
    """A worker is killed after its first call, the next after its second, until one completes its turn."""
    place.process().accept()
    for calls in range(1, 100):
        process = place.process(kill_after(calls))
        try:
            process.worker.turn()
        except Killed:
            assert place.holders() or place.status() is Status.SUCCEEDED, f"the message was lost after {calls} calls"
        else:
            break
        reclaim(place.queue, process.name)
        place.redis.hset(place.queue.job_key(job().songhash), mapping={"attempt": 0, "lost": 0})

    assert place.status() is Status.SUCCEEDED


def kill_after(calls: int) -> Decide:
    """Return what kills a process before the call that follows so many others."""
    left = iter([None] * calls)
    return lambda _: next(left, Fault.KILLED_BEFORE)


def test_a_worker_continues_with_a_message_whose_pop_reply_was_lost(place: Place) -> None:
    losses = iter([Fault.REPLY_LOST])

    def lose_the_reply_to_a_job_that_comes_while_the_worker_waits(call: str) -> Fault | None:
        if call != "blmove" or not (loss := next(losses, None)):
            return None
        place.process().accept()
        return loss

    process = place.process(lose_the_reply_to_a_job_that_comes_while_the_worker_waits)

    with pytest.raises(QueueUnavailable):
        process.worker.turn()
    assert place.status() is Status.QUEUED
    process.worker.turn()

    assert place.status() is Status.SUCCEEDED


def test_a_copy_in_a_lost_workers_list_leaves_the_running_job_alone(place: Place) -> None:
    """The lost worker had the job before, lost its lease, and popped a foreign copy of the message before it died."""
    place.queue.enqueue(job())
    lost = place.process()
    claim(lost)
    reclaim(place.queue, lost.name)
    rival = claim(place.process())
    place.redis.lpush(place.queue.name, job().message())
    lost.consumer.renew(None)
    place.redis.lmove(place.queue.name, lost.consumer.run_key, "RIGHT", "LEFT")

    reclaim(place.queue, lost.name)

    assert rival.renew() == "ok"
    assert place.status() is Status.RUNNING
    assert len(place.holders()) == 1


@pytest.mark.parametrize("away", ["Redis at the settle", "the store at the removal"])
def test_a_job_that_a_stopped_worker_could_not_settle_counts_as_unsettled_not_as_a_lost_lease(
    place: Place, away: str
) -> None:
    def fail(call: str) -> Fault | None:
        if away == "Redis at the settle" and call == "settle":
            process.drain.begin()
            return Fault.REFUSED
        if away == "the store at the removal" and call == "put report":
            place.queue.cancel(job().songhash, "a caller")
        return Fault.REFUSED if away == "the store at the removal" and call == "remove_objects" else None

    process = place.process(fail)
    process.accept()
    before = count_results()

    process.worker.turn()

    assert count_results() - before == Counter({"unsettled": 1})
    assert place.status() in (Status.RUNNING, Status.CANCELLED)


def count_results() -> Counter[str]:
    """Return the jobs by their result at the workers of this process, and the leases that these lost."""
    registry = METRICS.registry
    results = {
        result: registry.get_sample_value("msas_jobs_total", {"result": result.replace(" ", "_")}) for result in RESULTS
    }
    leases_lost = registry.get_sample_value("msas_leases_lost_total")
    return Counter({name: int(count or 0) for name, count in {**results, "leases lost": leases_lost}.items()})
