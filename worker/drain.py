"""Told to stop: from the first signal on no new job, and the one in hand is finished in time or handed back."""

from __future__ import annotations

import logging
import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from msas import log

_log = logging.getLogger("msas.worker")
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Draining(Exception):
    """The worker was told to stop: hand the job back."""


class Drain:
    """`begun` once the worker was told to stop; `due` once the `seconds` that a job in hand has left are over."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._until = seconds, math.inf
        self._begun, self._listening = threading.Event(), False

    def install(self) -> None:
        """Begin at SIGTERM or SIGINT; a second one ends the process at once. In the main thread only."""
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
        """Expect that the job in hand takes so long; where less time is left, it is due now. None: nobody knows."""
        left = self._until - time.monotonic()
        if seconds is not None and 0 < left < seconds:
            self._until = time.monotonic()
            log.event(_log, "no time for the song", seconds_needed=round(seconds, 1), seconds_left=round(left, 1))

    def overdue(self, seconds: float) -> bool:
        """Say whether it has been due for `seconds`."""
        return time.monotonic() >= self._until + seconds

    def wait(self, seconds: float) -> bool:
        """Wait for `seconds`, or until told to stop; say whether that was so."""
        return self._begun.wait(seconds)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Let a signal raise Draining right inside the block, which may wait for long and hold nothing."""
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
