"""Accepting, removing and reconciling, cut short at each call: the next try completes them."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from copy import copy
from functools import partial

import pytest

from msas.job import State
from msas.problem import NotAudio, Unavailable
from msas.queue import Lease
from tests.queue.crash_plan import Plan, finish
from tests.support.faults import Fault, Killed
from tests.support.in_process import KEEP_DAYS, Place, Process, job, report_of


def spoiled(place: Place, number: int, fault: Fault, act: Callable[[Process], object]) -> Plan:
    """Let a process do something whose call of that number meets the fault."""
    plan = Plan({number: fault})
    with suppress(Killed, Unavailable):
        act(place.process(lambda name: plan.decide("pod", name)))
    return plan


def each_call(prepare: Callable[[Place], object], act: Callable[[Process], object]) -> range:
    """Return the numbers of the calls that `act` makes where `prepare` was done."""
    with Place() as place:
        prepare(place)
        plan = Plan()
        act(place.process(lambda name: plan.decide("pod", name)))
    return range(len(plan.calls))


def nothing(_place: Place) -> None:
    """Prepare nothing."""


@pytest.mark.parametrize("fault", Fault)
def test_a_song_whose_acceptance_was_cut_short_is_taken_on_the_second_try(fault: Fault) -> None:
    for number in each_call(nothing, Process.accept):
        with Place() as place:
            spoiled(place, number, fault, Process.accept)
            place.process().accept()
            finish(place, Plan(), lambda: place.quiet([0]))
            place.whole()


@pytest.mark.parametrize("fault", Fault)
def test_a_song_whose_message_is_stored_is_done_though_nobody_sends_it_again(fault: Fault) -> None:
    """And one of which only the song is stored goes when its time is over."""
    for number in each_call(nothing, Process.accept):
        with Place() as place:
            spoiled(place, number, fault, Process.accept)
            if place.messages():
                finish(place, Plan(), lambda: place.quiet([0]))
                place.whole()
            place.memory.age(KEEP_DAYS + 1)
            place.redis.zadd(place.key("ended"), {job().songhash: 1}, xx=True)
            place.process().reconciler.sweep()
            assert gone(place, 0)


def gone(place: Place, number: int) -> bool:
    """Say whether nothing is left of the song, anywhere."""
    return place.state(number) is None and not place.memory.keys(job(number).songhash) and not place.left()


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
    lease = place.process().receiver.take()
    assert lease
    return lease


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("prepare", [in_line, delayed, failed, succeeded])
def test_a_removal_that_was_cut_short_is_completed_by_the_next_or_by_a_sweep(
    prepare: Callable[[Place], object], fault: Fault
) -> None:
    for number in each_call(prepare, Process.remove):
        for complete in (Process.remove, lambda process: process.reconciler.sweep()):
            with Place() as place:
                prepare(place)
                before = place.state()
                spoiled(place, number, fault, Process.remove)
                place.forsake()
                if place.state() in (State.CANCELLED, None) or complete is Process.remove:
                    complete(place.process())
                    assert gone(place, 0), (number, fault)
                else:
                    assert place.state() is before, "a removal that never reached Redis changes nothing"


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("first", ["worker", "remover"])
def test_a_removal_under_a_worker_s_hands_is_completed_when_both_let_go(first: str, fault: Fault) -> None:
    for number in each_call(running, Process.remove):
        with Place() as place:
            in_line(place)
            process = place.process()
            lease = process.receiver.take()
            assert lease
            spoiled(place, number, fault, Process.remove)

            def let_go(process: Process = process, lease: Lease = lease) -> None:
                place.store.put_report(report_of(lease.job.songhash))  # what it had stored just before it learned of it
                assert lease.beat() == "cancelled"
                process.worker._clear_away(lease)

            def again(place: Place = place) -> None:
                place.forsake()
                place.process().remove()

            if place.state() is State.RUNNING:
                place.process().remove()
            for step in (let_go, again) if first == "worker" else (again, let_go):
                step()
            assert gone(place, 0), (number, fault)


def a_mess(place: Place) -> dict[int, State | None]:
    """Prepare all that a sweep sets right; return the state that each song should reach."""
    hands, redis = place.process(), place.redis
    for number in (1, 2, 3, 7):
        hands.accept(number)
        assert hands.worker.turn()
    place.store.put_message(job(1).songhash, job(1).message())  # 1: its worker was killed just before it removed this
    redis.delete(place.queue.job_key(job(2).songhash))  # 2: Redis forgot that it was done
    redis.zadd(place.key("ended"), {job(3).songhash: 1})  # 3: its time is over
    hands.accept(8)
    lease = hands.receiver.take()
    assert lease
    lease.fail(NotAudio("No audio."))  # 8: stays failed
    hands.accept(4)
    redis.delete(place.queue.name)  # 4: a stranger popped its message
    hands.accept(5)
    place.queue.cancel(job(5).songhash, "a process that died")  # 5: half removed
    place.forsake()
    place.store.put_song(job(6).songhash, io.BytesIO(b"song"), 4)  # 6: half accepted, long ago
    for number in (3, 6):
        place.memory.age(KEEP_DAYS + 1, job(number).songhash)
    place.store.put_song(job(0).songhash, io.BytesIO(b"song"), 4)  # 0: Redis forgot that it was accepted
    place.store.put_message(job(0).songhash, job(0).message())
    redis.delete(place.queue.job_key(job(7).songhash))  # 7: Redis went back to when it was in line
    place.queue.enqueue(job(7))
    return {**dict.fromkeys((0, 1, 2, 4, 7), State.SUCCEEDED), **dict.fromkeys((3, 5, 6)), 8: State.FAILED}


def tidy(place: Place) -> bool:
    """Say whether nothing is left to do; the message of the one that failed stays in the store."""
    return not place.left() and place.messages() == [job(8).songhash]


@pytest.mark.parametrize("fault", Fault)
def test_a_sweep_that_was_cut_short_is_completed_by_the_next(fault: Fault) -> None:
    with Place() as origin:
        wanted = a_mess(origin)
        redis, objects = origin.snapshot(), dict(origin.memory.objects)
    for number in each_call(a_mess, lambda process: process.reconciler.sweep()):
        with Place() as place:
            place.roll_back(redis)
            place.memory.objects, place.memory.puts = copy(objects), copy(origin.memory.puts)
            spoiled(place, number, fault, lambda process: process.reconciler.sweep())
            place.forsake()
            finish(place, Plan(), partial(tidy, place))
            assert {number: place.state(number) for number in wanted} == wanted
            for each, state in wanted.items():
                if state is State.SUCCEEDED:
                    place.whole(each)
                    assert place.memory.puts[f"{job(each).songhash}-report.json"] == 1, "separated once"
                elif state is None:
                    assert not place.memory.keys(job(each).songhash)


def test_a_sweep_over_that_mess_makes_many_calls_each_of_which_is_spoiled_above() -> None:
    assert len(each_call(a_mess, lambda process: process.reconciler.sweep())) > 20
