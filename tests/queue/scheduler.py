"""One run of workers, clients and reconcilers, interleaved call by call as a seed says, with faults in between.

After every step all promises are checked (tests/promises.py); at the end the faults stop, and everything must come to
its end.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from tests.queue.actors import Actor, keep, work
from tests.queue.promises import Broken, Promises
from tests.support.faults import Fault
from tests.support.in_process import Place, Process, job

WORKERS, JOBS = 3, 3
STEPS = 150
_MOST_ROUNDS, _MOST_CALLS = 20, 300
# How often, of a hundred, what happens is something else than that a process makes its next call.
ORDINARY = {
    "call meets a fault": 8.0,
    "lease runs out": 4.0,
    "delays are over": 4.0,
    "tick": 8.0,
    "heartbeat": 4.0,
    "duplicate": 1.0,
    "accept": 2.0,
    "sweep": 1.0,
    "remove": 0.3,
    "drain": 0.5,
}
# A Redis that loses what it has acknowledged, now and then.
FORGETFUL = {**ORDINARY, "snapshot taken": 2.0, "roll back": 0.7, "forget all": 0.3}


class Interleaving:
    """A run on an empty Place; `go` makes it so many steps long, `end` lets all come to its end."""

    def __init__(self, place: Place, seed: int, events: dict[str, float]) -> None:
        self.place, self.dice, self.seed = place, random.Random(seed), seed
        self.promises = Promises(place, JOBS)
        self.workers: list[Actor] = []
        self.others: list[Actor] = []
        self.trace: list[str] = []
        self._events = events
        self._snapshot: dict[bytes, bytes] = {}
        self._started = 0

    def __enter__(self) -> Interleaving:
        for _ in range(WORKERS):
            self._start_worker()
        for number in range(JOBS):
            self._start_other(f"client {number}", partial(Process.accept, number=number))
        return self

    def __exit__(self, *_: object) -> None:
        for actor in [*self.workers, *self.others]:
            actor.kill()

    def go(self, steps: int = STEPS) -> None:
        for _ in range(steps):
            self.others = [actor for actor in self.others if not actor.over]
            name = self._choose()
            if name:
                getattr(self, f"_{name.replace(' ', '_')}")()
                self._check(None)
            else:
                self._call()

    def end(self) -> None:
        """No more faults; whoever lives goes on, a keeper ticks and sweeps. Everything is over in so many rounds."""
        self._note("no more faults")
        for actor in self.others:
            self._until(actor, "")
        self._start_other("keeper", keep)
        for _ in range(_MOST_ROUNDS):
            for actor, first in [*((worker, "set") for worker in self.workers), (self.others[-1], "overview")]:
                self._until(actor, first)
            self.place.due()
            self.place.forsake()
            self._tick()
            self._check(None)
            if self.promises.over():
                return
        self._fail(f"not over after {_MOST_ROUNDS} rounds: {self.promises.seen}, {self.place.messages()}")

    def _until(self, actor: Actor, before: str) -> None:
        """Let it go on until it stands before that call, or is over."""
        for _ in range(_MOST_CALLS):
            if actor.over:
                return
            self._let_go_on(actor)
            if actor.before == before:
                return
        self._fail(f"{actor.name} never comes to its end")

    def _check(self, mover: Actor | None) -> None:
        try:
            self.promises.check(mover)
        except Broken as broken:
            self._fail(str(broken))

    def _fail(self, text: str) -> None:
        raise Broken(f"seed {self.seed}, step {len(self.trace)}: {text}\n" + "\n".join(self.trace[-40:]))

    # What may happen in a step.

    def _choose(self) -> str | None:
        """Return what happens next; None: somebody makes a call, as nearly always."""
        names = list(self._events)
        weights = list(self._events.values())
        return self.dice.choices([None, *names], [100 - sum(weights), *weights])[0]

    def _note(self, text: str) -> None:
        self.trace.append(f"{len(self.trace):4} {text}")

    def _start_worker(self) -> None:
        self._started += 1
        self.workers.append(Actor(self.place, f"worker-{self._started}", work))

    def _start_other(self, what: str, body: Callable[[Process], object]) -> None:
        self._started += 1
        self.others.append(Actor(self.place, f"{what}-{self._started}", body))

    def _call(self, fault: Fault | None = None) -> Actor:
        return self._let_go_on(self.dice.choice([*self.workers, *self.others]), fault)

    def _let_go_on(self, actor: Actor, fault: Fault | None = None) -> Actor:
        self._note(f"{actor.name}: {actor.before} {fault or ''}")
        actor.step(fault)
        if actor.over and actor in self.workers:
            self.workers.remove(actor)
            self._start_worker()
        self._check(actor)
        return actor

    def _call_meets_a_fault(self) -> None:
        self._call(self.dice.choice(list(Fault)))

    def _lease_runs_out(self) -> None:
        worker = self.dice.choice(self.workers)
        self._note(f"the lease of {worker.name} runs out")
        self.place.lapse(worker.name)

    def _delays_are_over(self) -> None:
        self._note("delays are over")
        self.place.due()

    def _tick(self) -> None:
        self._note("tick")
        self.place.lapse(*(name for name in self.place.workers() if name not in {each.name for each in self.workers}))
        self.place.queue.tick()

    def _heartbeat(self) -> None:
        """The thread that beats beside the separation does so, while that stands still."""
        worker = self.dice.choice(self.workers)
        self._note(f"heartbeat of {worker.name}")
        lease = worker.process.heartbeat._lease
        news = (lease.job.songhash, lease.token, lease.stage, lease.progress) if lease else ("",)
        held = self.place.queue.scripts.run("beat", worker.name, *news).decode()
        if lease:
            lease.held = held

    def _drain(self) -> None:
        worker = self.dice.choice(self.workers)
        self._note(f"{worker.name} is told to stop")
        worker.process.drain.begin()

    def _duplicate(self) -> None:
        number = self.dice.randrange(JOBS)
        if number in self.promises.known:
            self._note(f"a stranger pushes job {number} once more")
            self.place.redis.lpush(self.place.queue.name, job(number).message())

    def _accept(self) -> None:
        number = self.dice.randrange(JOBS)
        self._start_other(f"client {number}", lambda process: process.accept(number))

    def _sweep(self) -> None:
        self._start_other("keeper", lambda process: process.reconciler.sweep())

    def _remove(self) -> None:
        number = self.dice.randrange(JOBS)
        self.promises.removed.add(number)
        self._start_other(f"remover {number}", lambda process: process.remove(number))

    def _snapshot_taken(self) -> None:
        self._note("snapshot")
        self._snapshot = self.place.snapshot()

    def _roll_back(self) -> None:
        self._note("Redis is rolled back to the snapshot")
        self.place.roll_back(self._snapshot)
        self.promises.forget()

    def _forget_all(self) -> None:
        self._snapshot = {}
        self._roll_back()
