"""Processes that stop before each of their calls until a test lets them go on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from msas.problem import QueueUnavailable, Unavailable
from tests.support.faults import FAILING, Fault, Killed
from tests.support.in_process import Place, Process
from worker.drain import Draining

_PATIENCE = 30.0  # seconds for a call; a process that takes longer hangs, and so would the test


class Actor:
    """A process in a thread of its own, always standing just before a call (`before` is its name), or over."""

    def __init__(self, place: Place, name: str, body: Callable[[Process], object]) -> None:
        self.name, self.before, self.over = name, "", False
        self.made = ""  # the call that it just made, where that was answered
        self.error: BaseException | None = None
        self._go, self._stands = threading.Lock(), threading.Lock()  # each is released by the other side
        self._go.acquire()
        self._stands.acquire()
        self._fault: Fault | None = None
        self.process = place.process(self._stand, name)
        threading.Thread(target=self._run, args=(body,), daemon=True).start()
        self._await()

    def step(self, fault: Fault | None = None) -> None:
        """Let it make its next call, which meets the fault, and stop again before the one after that."""
        self._fault, self.made = fault, "" if fault in FAILING else self.before
        self._go.release()
        self._await()

    def kill(self) -> None:
        """End it where it stands."""
        self.process.wire.dead = True
        while not self.over:
            self.step()

    def _stand(self, name: str) -> Fault | None:
        self.before = name
        self._stands.release()
        self._go.acquire()
        return self._fault

    def _await(self) -> None:
        assert self._stands.acquire(timeout=_PATIENCE), f"{self.name} hangs after {self.before}"
        if self.error:
            raise self.error

    def _run(self, body: Callable[[Process], object]) -> None:
        try:
            body(self.process)
        except (Killed, Unavailable):
            pass
        except BaseException as error:
            self.error = error
        self.over = True
        self._stands.release()


def work(process: Process) -> None:
    """What a worker does all its life, as Worker.run."""
    with suppress(Draining):
        while not process.drain.begun:
            with suppress(QueueUnavailable):
                process.worker.turn()
    process.receiver.leave()


def keep(process: Process) -> None:
    """What Upkeep does all its life, but for the ticks."""
    while True:
        with suppress(Unavailable):
            process.reconciler.sweep()
