"""Accepting, removing and reconciling are cut short at each call; the next try completes them."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from copy import copy
from functools import partial

import pytest

from msas.errors import NotAudio, Unavailable
from msas.job import Status
from msas.queue import Lease
from tests.queue.crash_plan import Plan, finish
from tests.support.faults import Fault, Killed
from tests.support.in_process import KEEP_DAYS, Place, Process, job, make_report


def act_under(place: Place, number: int, fault: Fault, act: Callable[[Process], object]) -> Plan:
    """Let a process act; its call of this number meets the fault."""
    plan = Plan({number: fault})
    with suppress(Killed, Unavailable):
        act(place.process(partial(plan.decide, "pod")))
    return plan


def each_call(prepare: Callable[[Place], object], act: Callable[[Process], object]) -> range:
    """Return the numbers of the calls that `act` makes after `prepare`."""
    with Place() as place:
        prepare(place)
        plan = Plan()
        act(place.process(partial(plan.decide, "pod")))
    return range(len(plan.calls))


def nothing(_place: Place) -> None:
    """Prepare nothing."""


def sweep(process: Process) -> None:
    process.reconcile()


def gone(place: Place, number: int = 0) -> bool:
    """Say whether nothing is left of the song in Redis and the store."""
    return place.status(number) is None and not place.memory.keys(job(number).songhash) and not place.left()


def in_line(place: Place) -> None:
    place.process().accept()


def delayed(place: Place) -> None:
    running(place).retry(NotAudio("It went wrong."))


def failed(place: Place) -> None:
    running(place).fail(NotAudio("No audio."))


def succeeded(place: Place) -> None:
    in_line(place)
    assert place.process().worker.turn()


def running(place: Place) -> Lease:
    in_line(place)
    lease = place.process().consumer.claim_next()
    assert lease
    return lease


@pytest.mark.parametrize("fault", Fault)
def test_a_song_whose_acceptance_was_cut_short_is_accepted_on_the_second_try(fault: Fault) -> None:
    for number in each_call(nothing, Process.accept):
        with Place() as place:
            act_under(place, number, fault, Process.accept)

            place.process().accept()

            finish(place, Plan(), partial(place.quiet, [0]))
            place.whole()


@pytest.mark.parametrize("fault", Fault)
def test_a_song_whose_message_was_stored_is_done_without_a_second_try(fault: Fault) -> None:
    stored = 0
    for number in each_call(nothing, Process.accept):
        with Place() as place:
            act_under(place, number, fault, Process.accept)
            if place.messages():
                stored += 1
                finish(place, Plan(), partial(place.quiet, [0]))
                place.whole()

    assert stored


@pytest.mark.parametrize("fault", Fault)
def test_a_song_whose_acceptance_was_cut_short_is_removed_when_its_time_is_over(fault: Fault) -> None:
    for number in each_call(nothing, Process.accept):
        with Place() as place:
            act_under(place, number, fault, Process.accept)
            if place.messages():
                finish(place, Plan(), partial(place.quiet, [0]))
            place.memory.age(KEEP_DAYS + 1)
            place.redis.zadd(place.key("ended"), {job().songhash: 1}, xx=True)

            sweep(place.process())

            assert gone(place), f"call {number}"


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("prepare", [in_line, delayed, failed, succeeded])
def test_a_removal_that_was_cut_short_is_completed_by_the_next(
    prepare: Callable[[Place], object], fault: Fault
) -> None:
    for number in each_call(prepare, Process.remove):
        with Place() as place:
            prepare(place)
            act_under(place, number, fault, Process.remove)
            place.forsake()

            place.process().remove()

            assert gone(place), f"call {number}"


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("prepare", [in_line, delayed, failed, succeeded])
def test_a_removal_that_was_cut_short_is_completed_by_a_sweep_unless_it_never_began(
    prepare: Callable[[Place], object], fault: Fault
) -> None:
    for number in each_call(prepare, Process.remove):
        with Place() as place:
            prepare(place)
            before = place.status()
            act_under(place, number, fault, Process.remove)
            place.forsake()

            if place.status() in (Status.CANCELLED, None):
                sweep(place.process())
                assert gone(place), f"call {number}"
            else:
                assert place.status() is before, f"call {number}"


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("first", ["worker", "remover"])
def test_a_removal_of_a_running_job_is_completed_when_worker_and_remover_have_acknowledged(
    first: str, fault: Fault
) -> None:
    for number in each_call(running, Process.remove):
        with Place() as place:
            in_line(place)
            worker = place.process()
            lease = worker.consumer.claim_next()
            assert lease
            act_under(place, number, fault, Process.remove)
            if place.status() is Status.RUNNING:
                place.process().remove()

            steps = [partial(acknowledge_cancel, place, worker, lease), partial(remove_again, place)]
            for step in steps if first == "worker" else steps[::-1]:
                step()

            assert gone(place), f"call {number}"


def acknowledge_cancel(place: Place, worker: Process, lease: Lease) -> None:
    """Let the worker store a report, learn that the job is cancelled, and clear away what it stored."""
    place.store.put_report(make_report(lease.job.songhash))
    assert lease.renew() == "cancelled"
    worker.worker._remove_stored(lease)


def remove_again(place: Place) -> None:
    place.forsake()
    place.process().remove()


# The statuses that a sweep must lead to, by the number of the job that `a_mess` prepares.
AFTER_SWEEPS = {
    **dict.fromkeys((0, 1, 2, 4, 7), Status.SUCCEEDED),
    **dict.fromkeys((3, 5, 6)),
    8: Status.FAILED,
}


def a_mess(place: Place) -> None:
    """Prepare each difference between Redis and the store that a sweep sets right."""
    hands, redis = place.process(), place.redis
    for number in (1, 2, 3, 7):
        hands.accept(number)
        assert hands.worker.turn()
    place.store.put_message(job(1).songhash, job(1).message())  # 1: its worker was killed before it removed this
    redis.delete(place.queue.job_key(job(2).songhash))  # 2: Redis lost that it had succeeded
    redis.zadd(place.key("ended"), {job(3).songhash: 1})  # 3: its time is over
    hands.accept(8)
    lease = hands.consumer.claim_next()
    assert lease
    lease.fail(NotAudio("No audio."))  # 8: stays failed
    hands.accept(4)
    redis.delete(place.queue.name)  # 4: a foreign client popped its message
    hands.accept(5)
    place.queue.cancel(job(5).songhash, "a process that was killed")  # 5: its removal was cut short
    place.forsake()
    place.store.put_song(job(6).songhash, io.BytesIO(b"song"), 4)  # 6: its acceptance was cut short long ago
    for number in (3, 6):
        place.memory.age(KEEP_DAYS + 1, job(number).songhash)
    place.store.put_song(job(0).songhash, io.BytesIO(b"song"), 4)  # 0: Redis lost that it was accepted
    place.store.put_message(job(0).songhash, job(0).message())
    redis.delete(place.queue.job_key(job(7).songhash))  # 7: Redis went back to when it was in line
    place.queue.enqueue(job(7))


def tidy(place: Place) -> bool:
    """Say whether nothing is left to do; the message of the failed job stays in the store."""
    is_removed = all(gone(place, number) for number, status in AFTER_SWEEPS.items() if status is None)
    return is_removed and not place.left() and place.messages() == [job(8).songhash]


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.long)])
def test_a_sweep_that_was_cut_short_is_completed_by_the_next(every: int, fault: Fault) -> None:
    """By default each fault meets every fourth call, each another one."""
    with Place() as origin:
        a_mess(origin)
        redis, objects = origin.snapshot(), dict(origin.memory.objects)
    numbers = each_call(a_mess, sweep)
    assert len(numbers) > 20, "the sweep over this mess makes fewer calls than expected"

    for number in numbers[list(Fault).index(fault) % every :: every]:
        with Place() as place:
            place.roll_back(redis)
            place.memory.objects, place.memory.puts = copy(objects), copy(origin.memory.puts)
            act_under(place, number, fault, sweep)
            place.forsake()

            finish(place, Plan(), partial(tidy, place))

            check_after_sweeps(place)


def check_after_sweeps(place: Place) -> None:
    assert {number: place.status(number) for number in AFTER_SWEEPS} == AFTER_SWEEPS
    for number, status in AFTER_SWEEPS.items():
        songhash = job(number).songhash
        if status is Status.SUCCEEDED:
            place.whole(number)
            assert place.memory.puts[f"{songhash}-report.json"] == 1, f"job {number} was separated again"
        elif status is None:
            assert not place.memory.keys(songhash), f"job {number} is still in the store"
