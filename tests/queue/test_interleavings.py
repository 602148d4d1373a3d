"""Three workers, clients, removers and reconcilers take turns call by call, as a seed says, among faults.

Every promise is checked after every step (tests/promises.py says which), and in the end all must be over. The store
is one in memory, Redis a real server. MSAAS_LONG=1 goes through thousands of seeds instead of some.
"""

from __future__ import annotations

import os

import pytest

from msas.job import State
from tests.queue.crash_plan import Plan, finish
from tests.queue.scheduler import FORGETFUL, ORDINARY, Interleaving
from tests.support.faults import Fault, Killed
from tests.support.in_process import Place

_BATCHES, _BATCH = (100 if os.environ.get("MSAAS_LONG") else 2), 20
SEEDS = [range(batch * _BATCH, (batch + 1) * _BATCH) for batch in range(_BATCHES)]
# Of Redis that went back to the past. A worker that it then did not know died with a job: 1318 (the job had been done
# before), 2924 (it was being removed), 115 and 129 (its message was still in the store). One had two: 2580. A removal
# had half happened: 1423. The reconciler had brought a job back once too often: 3053.
FOUND = (115, 129, 1318, 1423, 2580, 2924, 3053)


def interleave(seed: int, events: dict[str, float]) -> None:
    """Go through one run; raise Broken where a promise is."""
    with Place() as place, Interleaving(place, seed, events) as run:
        run.go()
        run.end()


@pytest.mark.parametrize("seeds", SEEDS, ids=str)
def test_no_order_of_calls_loses_a_job_or_gives_it_to_two(seeds: range) -> None:
    for seed in seeds:
        interleave(seed, ORDINARY)


@pytest.mark.parametrize("seeds", SEEDS, ids=str)
def test_what_was_accepted_is_done_though_redis_forgets_what_it_acknowledged(seeds: range) -> None:
    for seed in seeds:
        interleave(seed, FORGETFUL)


@pytest.mark.parametrize("seed", FOUND)
def test_orders_in_which_something_was_found_hold(seed: int) -> None:
    interleave(seed, FORGETFUL)


@pytest.mark.parametrize("last", ["blmove", "claim"])
@pytest.mark.parametrize("done_before", [False, True])
def test_a_worker_that_redis_forgot_and_that_dies_with_a_job_keeps_it_from_nobody(last: str, done_before: bool) -> None:
    """Redis goes back to when it did not know the worker, just before that takes a message; then the worker dies."""
    with Place() as place:
        place.process().accept()
        past = place.snapshot()
        if done_before:
            assert place.process().worker.turn()

        def decide(name: str) -> Fault | None:
            if name == "blmove":
                place.roll_back(past)
            return Fault.KILLED_AFTER if name == last else None

        with pytest.raises(Killed):
            place.process(decide).worker.turn()
        finish(place, Plan(), lambda: place.state() is State.SUCCEEDED)
        place.whole()


def test_a_worker_that_holds_two_jobs_since_redis_went_back_keeps_neither_when_it_dies() -> None:
    """Redis goes back to when the worker had its last job, just before that takes its next; then the worker dies."""
    with Place() as place:
        past: dict[bytes, bytes] = {}
        for number in (0, 1):
            place.process().accept(number)

        def decide(name: str) -> Fault | None:
            if name == "get report":
                past.update(past or place.snapshot())
            if name == "blmove" and past:
                place.roll_back(past)
            return Fault.KILLED_AFTER if name == "claim" and past else None

        process = place.process(decide)
        assert process.worker.turn()
        with pytest.raises(Killed):
            process.worker.turn()
        finish(place, Plan(), lambda: place.quiet([0, 1]))
