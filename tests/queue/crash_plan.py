"""A plan of faults by the number of the call, and a run of worker and reconciler under that plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from msas.errors import QueueUnavailable, Unavailable
from tests.support.faults import Fault, Killed
from tests.support.in_process import Place

MOST_ROUNDS = 12


class Plan:
    """Counts the calls of all processes of a run, and names the fault of each call."""

    def __init__(self, faults: Mapping[int, Fault] | None = None) -> None:
        self.faults, self.calls = faults or {}, list[str]()
        self.lost_workers = 0  # workers that were killed while they held a job

    def decide(self, role: str, name: str) -> Fault | None:
        self.calls.append(f"{role}: {name}")
        return self.faults.get(len(self.calls) - 1)

    @property
    def resent(self) -> bool:
        """Say whether a report was stored twice by one call."""
        return any(fault is Fault.SENT_TWICE and "put report" in self.calls[n] for n, fault in self.faults.items())

    def __str__(self) -> str:
        met = {number: self.calls[number] for number in self.faults if number < len(self.calls)}
        return ", then ".join(f"call {number} ({met.get(number)}) {fault}" for number, fault in self.faults.items())


def finish(place: Place, plan: Plan, quiet: Callable[[], bool]) -> None:
    """Let a worker and a reconciler work in turns until `quiet`; replace each that is killed."""
    new_worker, new_keeper = (partial(place.process, partial(plan.decide, role)) for role in ("worker", "keeper"))
    worker, keeper = new_worker(), new_keeper()
    for _ in range(MOST_ROUNDS):
        try:
            while worker.worker.turn():
                pass
        except QueueUnavailable:
            continue  # as Worker.run does
        except Killed:
            plan.lost_workers += place.holds(worker.name)
            worker = new_worker()
        if quiet():
            return
        place.due()
        place.lapse(*(name for name in place.workers() if name != worker.name))
        try:
            keeper.queue.reclaim()
            if not place.waiting():
                keeper.reconcile()
        except Unavailable:
            pass
        except Killed:
            keeper = new_keeper()
    raise AssertionError(f"not quiet after {MOST_ROUNDS} rounds: {place.left()}, {place.messages()}")
