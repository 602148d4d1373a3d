"""The heartbeat thread: renews the lease, stores progress, and stops a job that is lost, cancelled or out of time."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from msas.errors import QueueUnavailable
from msas.job import Stage
from msas.logs import log
from msas.queue import Consumer, Lease
from worker.drain import Drain, Draining, TimeLeft

_SOONEST_SECONDS = 0.25  # at least, between two renewals
_ASK_AGAIN_SECONDS = 0.5
LONGEST_BEAT_SECONDS = 25.0  # that a call to a Redis that does not answer may take; 20.7 s were measured
_OVERDUE_SECONDS = 5.0  # after which a drained job that did not stop is handed back, and the process ended

_log = logging.getLogger("msas.worker")


class LeaseLost(Exception):
    """Another worker has the job: stop, and change nothing."""


class Cancelled(Exception):
    """The job was cancelled: stop, and delete what was stored of it."""


class Liveness:
    """Whether the heartbeat thread runs, be Redis away or not. `alive` until the thread has begun, since a model may
    take minutes to load."""

    def __init__(self, lease_seconds: float) -> None:
        """Not alive after `lease_seconds` without a mark, or after LONGEST_BEAT_SECONDS if that is longer."""
        self._most, self._marked = max(lease_seconds, LONGEST_BEAT_SECONDS), math.inf

    def mark(self) -> None:
        """Note that the thread runs."""
        self._marked = time.monotonic()

    @property
    def alive(self) -> bool:
        return time.monotonic() - self._marked < self._most


class Heartbeat:
    """Renews the lease every `seconds`, idle or not, and sooner when the job's stage or progress has changed."""

    def __init__(self, consumer: Consumer, seconds: float, drain: Drain, liveness: Liveness) -> None:
        self._consumer, self._seconds = consumer, seconds
        self._drain, self._liveness = drain, liveness
        self._lease: Lease | None = None
        self._time_left = TimeLeft()
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
        """Renew `lease`, with its stage and progress, until the block ends."""
        self._time_left.begin(lease.job)
        self._lease = lease
        try:
            yield
        finally:
            self._lease = None

    def note_progress(self, stage: Stage, progress: float) -> None:
        """Note the job's stage and progress. Raises LeaseLost, Cancelled or Draining where the work must stop."""
        lease = self._lease_or_stop()
        lease.stage, lease.progress = stage, progress
        self._time_left.note(stage, progress)
        self._news.set()

    def confirm(self) -> None:
        """Ask Redis, until it answers, whether this worker still holds the job; raises as `note_progress` does.

        To be called before anything is published.
        """
        while True:
            lease = self._lease_or_stop()
            with suppress(QueueUnavailable):
                lease.renew()
                self._lease_or_stop()
                return
            self._over.wait(_ASK_AGAIN_SECONDS)

    def pause(self) -> None:
        """Wait half a second for a server that is away; raises as `note_progress` does."""
        self._lease_or_stop()
        self._over.wait(_ASK_AGAIN_SECONDS)
        self._lease_or_stop()

    def _lease_or_stop(self) -> Lease:
        lease = self._lease
        if lease is None or lease.status == "lost":  # None: an upload that goes on after its job
            raise LeaseLost
        if lease.status == "cancelled":
            raise Cancelled
        if self._drain.begun:
            self._drain.expect(self._time_left.seconds())
        if self._drain.due:
            raise Draining
        return lease

    def _run(self) -> None:
        while not self._over.is_set():
            self._liveness.mark()
            lease = self._lease
            with log.bound(**lease.log_fields if lease else {}):
                self._beat(lease)
            self._liveness.mark()
            self._over.wait(_SOONEST_SECONDS)
            self._news.wait(max(0.0, self._seconds - _SOONEST_SECONDS))
            self._news.clear()

    def _beat(self, lease: Lease | None) -> None:
        try:
            self._consumer.renew(lease)
            if lease and self._drain.overdue(_OVERDUE_SECONDS):
                self._release_and_exit(lease)
        except QueueUnavailable as problem:  # the separation goes on
            log.event(_log, "heartbeat missed", logging.WARNING, why=problem.detail)

    def _release_and_exit(self, lease: Lease) -> None:
        """Hand back a job that did not stop in time, and end the process."""
        lease.release()
        self._consumer.deregister()
        log.event(_log, "job handed back", logging.WARNING, why="it did not stop in time")
        os._exit(0)
