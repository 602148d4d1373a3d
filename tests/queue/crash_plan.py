"""A plan of faults by the number of the call, and a run of worker and reconciler under it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from msas.problem import QueueUnavailable, Unavailable
from tests.support.faults import Fault, Killed
from tests.support.in_process import Place

_MOST_ROUNDS = 12


class Plan:
    """Counts the calls of a run, whoever makes them; the faults meet those with their numbers."""

    def __init__(self, faults: Mapping[int, Fault] | None = None) -> None:
        self.faults, self.calls = faults or {}, list[str]()
        self.blamed = 0  # workers that died with a job in hand

    def decide(self, role: str, name: str) -> Fault | None:
        self.calls.append(f"{role}: {name}")
        return self.faults.get(len(self.calls) - 1)

    @property
    def resent(self) -> bool:
        """Say whether a report was sent twice."""
        return any(fault is Fault.SENT_TWICE and "put report" in self.calls[n] for n, fault in self.faults.items())

    def __str__(self) -> str:
        met = {number: self.calls[number] for number in self.faults if number < len(self.calls)}
        return ", then ".join(f"call {number} ({met.get(number)}) {fault}" for number, fault in self.faults.items())


def finish(place: Place, plan: Plan, quiet: Callable[[], bool]) -> None:
    """Let a worker and a keeper take turns, each a fresh one after it was killed, until all is quiet."""
    worker_of, keeper_of = (partial(place.process, partial(plan.decide, role)) for role in ("worker", "keeper"))
    worker, keeper = worker_of(), keeper_of()
    for _ in range(_MOST_ROUNDS):
        try:
            while worker.worker.turn():
                pass
        except QueueUnavailable:
            continue  # as Worker.run does
        except Killed:
            plan.blamed += place.holds(worker.name)
            worker = worker_of()
        if quiet():
            return
        place.due()
        place.lapse(*(name for name in place.workers() if name != worker.name))
        try:
            keeper.queue.tick()
            if not place.waiting():
                keeper.reconciler.sweep()
        except Unavailable:
            pass
        except Killed:
            keeper = keeper_of()
    raise AssertionError(f"not quiet after {_MOST_ROUNDS} rounds: {place.left()}, {place.messages()}")
