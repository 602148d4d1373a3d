"""The turns of fate for which the queue is made as it is, one each. Each fails where the queue lacks what it needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msas.job import State
from msas.problem import NotAudio, QueueUnavailable
from msas.queue import Held, Lease
from tests.queue.promises import look
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


def takes(process: Process) -> Lease:
    lease = process.receiver.take()
    assert lease, "there is a job for it"
    return lease


def lose(place: Place, process: Process) -> None:
    """Let the process be lost, as far as Redis can tell, and what it held be in line again."""
    place.lapse(process.name)
    place.queue.tick()
    place.due()
    place.queue.tick()


def places(place: Place) -> tuple[str, ...]:
    [seen] = look(place, [job().songhash, job().message()])
    return seen.places


def a_worker_that_pauses_before_its_claim_claims_nothing_that_was_taken_back(place: Place) -> None:
    place.queue.enqueue(job())

    def paused(name: str) -> None:
        if name == "claim":
            lose(place, slow)

    slow = place.process(paused)
    assert slow.receiver.take() is None
    assert (place.state(), places(place)) == (State.QUEUED, ("line",))


def a_zombie_settles_nothing(place: Place) -> None:
    place.queue.enqueue(job())
    zombie_process = place.process()
    zombie = takes(zombie_process)
    lose(place, zombie_process)
    rival = takes(place.process())
    assert zombie.succeed(_REPORT) == "lost"
    assert zombie.retry(_PROBLEM) == "lost"
    assert place.state() is State.RUNNING
    assert rival.succeed(_REPORT) == "ok"


def a_zombie_learns_from_its_beat_that_it_lost_the_job(place: Place) -> None:
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


def a_message_is_somewhere_in_redis_at_every_moment(place: Place) -> None:
    """A worker is killed after each call of its turn, until one turn is done."""
    place.process().accept()
    done = 0
    while place.state() is not State.SUCCEEDED:
        done += 1
        process = place.process(killing_after(done))
        try:
            process.worker.turn()
        except Killed:
            assert places(place) or place.state() is State.SUCCEEDED, f"lost after {done} calls"
        lose(place, process)
        place.redis.hset(place.queue.job_key(job().songhash), "attempt", 0)


def a_song_that_kills_its_workers_is_given_up_after_three(place: Place) -> None:
    place.queue.enqueue(job())
    for attempt in (1, 2, 3):
        process = place.process()
        assert takes(process).attempt == attempt
        lose(place, process)
    assert (place.state(), places(place)) == (State.FAILED, ())
    assert place.process().receiver.take() is None


def what_is_over_stays_over_whoever_sends_it_again(place: Place) -> None:
    for number, end in enumerate(_ENDINGS[:2]):
        place.queue.enqueue(job(number))
        end(takes(place.process()))
        state = place.state(number)
        place.redis.lpush(place.queue.name, job(number).message())
        assert place.process().receiver.take() is None
        assert place.state(number) is state
        assert not place.left()


def after_an_outage_nobody_loses_a_job_that_still_runs(place: Place) -> None:
    place.queue.enqueue(job())
    process = place.process()
    lease = takes(process)
    place.lapse(process.name)
    place.redis.set(place.key("tick"), 1)  # nobody ticked while Redis was away
    place.queue.tick()
    assert (place.state(), lease.attempt, lease.succeed(_REPORT)) == (State.RUNNING, 1, "ok")


def a_settle_that_is_sent_twice_is_answered_the_same(place: Place) -> None:
    for number, settle in enumerate(_ENDINGS):
        place.queue.enqueue(job(number))
        lease = takes(place.process())
        assert settle(lease) == "ok"
        before = place.snapshot()
        assert settle(lease) == "ok"
        assert place.snapshot() == before, "and changes nothing"
        place.redis.flushall()


def a_worker_finds_what_it_was_given_in_a_reply_that_was_lost(place: Place) -> None:
    place.process().accept()
    losses = iter([Fault.REPLY_LOST])
    process = place.process(lambda name: next(losses, None) if name == "blmove" else None)
    for _ in range(3):
        try:
            process.worker.turn()
        except QueueUnavailable:
            continue
    assert place.state() is State.SUCCEEDED


def a_copy_in_a_dead_worker_s_list_takes_the_job_out_of_nobody_s_hands(place: Place) -> None:
    """The dead one had the job before, lost it, and popped a stranger's duplicate of it just before it died."""
    place.queue.enqueue(job())
    process = place.process()
    takes(process)
    lose(place, process)
    rival = takes(place.process())
    place.redis.lpush(place.queue.name, job().message())
    process.receiver.beat(None)
    place.redis.lmove(place.queue.name, process.receiver.taken, "RIGHT", "LEFT")
    lose(place, process)
    assert (rival.beat(), place.state()) == ("ok", State.RUNNING)
    assert len(places(place)) == 1


SCENARIOS = (
    a_worker_that_pauses_before_its_claim_claims_nothing_that_was_taken_back,
    a_zombie_settles_nothing,
    a_zombie_learns_from_its_beat_that_it_lost_the_job,
    a_message_is_somewhere_in_redis_at_every_moment,
    a_song_that_kills_its_workers_is_given_up_after_three,
    what_is_over_stays_over_whoever_sends_it_again,
    after_an_outage_nobody_loses_a_job_that_still_runs,
    a_settle_that_is_sent_twice_is_answered_the_same,
    a_worker_finds_what_it_was_given_in_a_reply_that_was_lost,
    a_copy_in_a_dead_worker_s_list_takes_the_job_out_of_nobody_s_hands,
)
