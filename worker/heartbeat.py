"""The heartbeat: a thread that renews the worker's lease while the engine computes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from msas import log
from msas.job import Stage
from msas.problem import QueueUnavailable
from msas.queue import Lease, Receiver

_SOONEST_SECONDS = 0.25  # news of a job is carried no more often than this

_log = logging.getLogger("msas.worker")


class LeaseLost(Exception):
    """The job is in other hands now: stop, and change nothing."""


class Draining(Exception):
    """The worker was told to stop: hand the job back."""


class Heartbeat:
    """Beats every `seconds`, idle or not, and sooner when there is news of the job in hand."""

    def __init__(self, receiver: Receiver, seconds: float, stopping: threading.Event) -> None:
        self._receiver, self._seconds, self._stopping = receiver, seconds, stopping
        self._lease: Lease | None = None
        self._news, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._news.set()
        self._thread.join()

    @contextmanager
    def holding(self, lease: Lease) -> Iterator[None]:
        """Carry the news of `lease` until the block ends."""
        self._lease = lease
        try:
            yield
        finally:
            self._lease = None

    def report(self, stage: Stage, progress: float) -> None:
        """Note how far the job in hand is. Raises LeaseLost or Draining where the work should stop."""
        lease = self._lease
        assert lease, "a report needs a job in hand"
        if lease.lost:
            raise LeaseLost
        if self._stopping.is_set():
            raise Draining
        lease.stage, lease.progress = stage, progress
        self._news.set()

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                self._receiver.beat(self._lease)
            except QueueUnavailable as problem:  # no reason to stop computing
                log.event(_log, "heartbeat missed", logging.WARNING, why=problem.detail)
            self._over.wait(_SOONEST_SECONDS)
            self._news.wait(self._seconds - _SOONEST_SECONDS)
            self._news.clear()
