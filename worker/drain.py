"""Draining: after SIGTERM no job is claimed; the job in hand is finished if the time left allows it, or handed back."""

from __future__ import annotations

import logging
import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from msas.cost import cost_minutes
from msas.job import Job, Stage
from msas.logs import log

_log = logging.getLogger("msas.worker")
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_SHORT_MINUTES = 0.5  # of cost; shorter songs are taken to cost this much


class Draining(Exception):
    """The worker was told to stop: hand the job back."""


class Drain:
    """`begun`: the worker was told to stop. `due`: the `seconds` in which its job may finish have passed since."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._until = seconds, math.inf
        self._begun, self._listening = threading.Event(), False

    def install(self) -> None:
        """Begin to drain at SIGTERM or SIGINT; a second signal ends the process at once. Main thread only."""
        for number in _SIGNALS:
            signal.signal(number, self._on_signal)

    def begin(self) -> None:
        self._until = time.monotonic() + self._seconds
        self._begun.set()

    @property
    def begun(self) -> bool:
        return self._begun.is_set()

    @property
    def due(self) -> bool:
        return time.monotonic() >= self._until

    def expect(self, seconds: float | None) -> None:
        """The job will take `seconds` more (None: unknown). Where less time is left, it is due now."""
        left = self._until - time.monotonic()
        if seconds is not None and 0 < left < seconds:
            self._until = time.monotonic()
            log.event(_log, "too little time left", seconds_needed=round(seconds, 1), seconds_left=round(left, 1))

    def overdue(self, seconds: float) -> bool:
        """Return whether it has been due for at least `seconds`."""
        return time.monotonic() >= self._until + seconds

    def wait(self, seconds: float) -> bool:
        """Wait for `seconds`, or until told to stop; return whether it was told."""
        return self._begun.wait(seconds)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Let a signal raise Draining inside the block, which may wait for long and must hold no job."""
        self._listening = True
        try:
            if self.begun:
                raise Draining
            yield
        finally:
            self._listening = False

    def _on_signal(self, *_: int | FrameType | None) -> None:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        self.begin()
        if self._listening:
            raise Draining


class TimeLeft:
    """Estimates how many seconds the current song will still take, from its progress and from earlier songs."""

    def __init__(self) -> None:
        self._paces: dict[str, float] = {}  # model -> seconds of separating for a minute of cost
        self._model, self._cost = "", 0.0
        self._stage = Stage.FETCHING
        self._began = self._noted = 0.0  # when separating began, and when its progress was noted last
        self._progress_at_begin = self._progress = 0.0

    def begin(self, job: Job) -> None:
        """Begin to estimate this job."""
        self._model = job.options.model if job.options else ""
        self._cost = max(_SHORT_MINUTES, cost_minutes(job.options, job.seconds)) if job.seconds else 0.0
        self._stage = Stage.FETCHING

    def note(self, stage: Stage, progress: float) -> None:
        """Note the stage and the progress, 0 to 1, of the job."""
        now = time.monotonic()
        if stage is Stage.SEPARATING:
            if self._stage is not stage:
                self._began, self._progress_at_begin = now, progress
            self._noted, self._progress = now, progress
        elif self._stage is Stage.SEPARATING and self._cost:
            self._paces[self._model] = (now - self._began) / self._cost
        self._stage = stage

    def seconds(self) -> float | None:
        """Return how long the song will still take; None where that is unknown, or separating has ended."""
        now = time.monotonic()
        if self._stage in (Stage.ENCODING, Stage.STORING):
            return None
        if self._stage is Stage.SEPARATING:
            done = self._progress - self._progress_at_begin
            if done > 0:
                rest = (self._noted - self._began) * (1 - self._progress) / done
                return max(0.0, rest - (now - self._noted))
        pace = self._paces.get(self._model)
        if pace is None or not self._cost:
            return None
        return max(0.0, pace * self._cost - (now - self._began if self._stage is Stage.SEPARATING else 0.0))
