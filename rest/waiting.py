"""Long polling: an answer that waits until there is something new to say."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import BoundedSemaphore

_LOOK_SECONDS = 0.25


class Waiting:
    """Lets callers wait, but never so many that nobody else is served: each of them keeps one of our threads."""

    def __init__(self, threads: int) -> None:
        self._places = BoundedSemaphore(max(threads // 2, 1))

    def until(self, done: Callable[[], bool], seconds: float) -> None:
        """Return when `done` says so, after `seconds`, or at once where too many wait already."""
        if seconds <= 0 or not self._places.acquire(blocking=False):
            return
        try:
            end = time.monotonic() + seconds
            while not done() and (left := end - time.monotonic()) > 0:
                time.sleep(min(_LOOK_SECONDS, left))
        finally:
            self._places.release()
