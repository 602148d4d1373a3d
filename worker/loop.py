"""The worker's loop: one turn takes one job and settles it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from msas import log
from msas.options import Options
from msas.problem import Problem, QueueUnavailable, Unavailable
from msas.queue import Lease, Receiver
from msas.store import Store
from worker.heartbeat import Draining, Heartbeat, LeaseLost
from worker.models import Models
from worker.separation import separate_song

_PAUSE_SECONDS = 1.0

_log = logging.getLogger("msas.worker")


class Worker:
    """Takes jobs one at a time, until `stopping` is set."""

    def __init__(
        self,
        receiver: Receiver,
        store: Store,
        models: Models,
        heartbeat: Heartbeat,
        stopping: threading.Event,
        most_minutes: float,
    ) -> None:
        """`most_minutes` is how long a song may be."""
        self._receiver, self._store, self._models = receiver, store, models
        self._heartbeat, self._stopping, self._minutes = heartbeat, stopping, most_minutes

    def run(self) -> None:
        """Take turns until told to stop; wait where Redis is away."""
        with self._heartbeat:
            while not self._stopping.is_set():
                try:
                    self.turn()
                except QueueUnavailable as problem:
                    log.event(_log, "queue away", logging.WARNING, why=problem.detail)
                    self._stopping.wait(_PAUSE_SECONDS)

    def turn(self) -> bool:
        """Take one job, if there is one, and settle it. Returns whether there was one."""
        self._receiver.queue.offer(self._models.offer, self._models.default)
        lease = self._receiver.take()
        if lease is None:
            return False
        facts: dict[str, Any] = {"songhash": lease.job.songhash, "attempt": lease.attempt}
        log.event(_log, "job claimed", **facts)
        with self._heartbeat.holding(lease):
            settle, outcome = self._serve(lease)
            held = self._until_answered(settle)
        log.event(_log, f"job {outcome}" if held else "lease lost", **facts)
        return True

    def _serve(self, lease: Lease) -> tuple[Callable[[], bool], str]:
        """Do the job; return how to settle it, and the word for that."""
        options = lease.job.options or Options(self._models.default)
        try:
            engine = self._models.engine(options.model)
            made = separate_song(lease.job, options, engine, self._store, self._heartbeat.report, self._minutes)
        except LeaseLost:
            return lambda: False, "lost"
        except Draining:
            return lease.release, "handed back"
        except Unavailable as problem:
            log.event(_log, "store away", logging.WARNING, why=problem.detail)
            self._stopping.wait(_PAUSE_SECONDS)
            return lease.release, "handed back"
        except Problem as problem:
            found = problem
        except Exception:
            _log.exception("separation failed")
            found = Problem("The separation failed on our side; the worker's log says why. Try again, or tell us.")
        else:
            return lambda: lease.succeed(made.tracks, options.model, made.report), "succeeded"
        return lambda: lease.fail(found), f"failed ({found.code})"

    def _until_answered(self, settle: Callable[[], bool]) -> bool:
        """Settle, again and again while Redis is away: the stems are stored, only the news is missing."""
        while True:
            try:
                return settle()
            except QueueUnavailable as problem:
                log.event(_log, "queue away", logging.WARNING, why=problem.detail)
                if self._stopping.wait(_PAUSE_SECONDS):
                    return False  # what was taken stays in our list, for another to take up
