"""Ends the process when decoder, engine or encoder hang; waiting for Redis or the store does not count."""

from __future__ import annotations

import faulthandler
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

_MOST_OFTEN = 1.0  # seconds between two settings of the timer, each of which starts a thread


class Watchdog:
    """Watches the blocks of code that must make progress, in any number of threads.

    A block that neither ends nor reports progress for `seconds` hangs in native code, which Python can't interrupt.
    Then the process prints the stack of each thread and ends with status 1, and its lease runs out. The timer is a
    thread of faulthandler's, which does not need Python's lock. Code outside of these blocks may wait for any time.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds, self._margin = seconds, min(_MOST_OFTEN, seconds / 10)
        self._lock = threading.Lock()
        self._since: dict[int, float] = {}  # thread -> when its block began, or last made progress
        self._due: float | None = None  # when the timer ends the process

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the block, which must not wait for another machine."""
        self._set(threading.get_ident(), time.monotonic())
        try:
            yield
        finally:
            self._set(threading.get_ident(), None)

    def each(self, items: Iterable[T]) -> Iterator[T]:
        """Yield `items`; watch the making of each, not its use."""
        iterator = iter(items)
        while True:
            with self.watching():
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    def progress(self) -> None:
        """Note that the calling thread makes progress, if it is in such a block."""
        if threading.get_ident() in self._since:
            self._set(threading.get_ident(), time.monotonic())

    def _set(self, thread: int, since: float | None) -> None:
        with self._lock:
            if since is None:
                self._since.pop(thread, None)
            else:
                self._since[thread] = since
            self._set_timer()

    def _set_timer(self) -> None:
        """Set the timer to when the oldest block is overdue, or at most the margin earlier."""
        if not self._since:
            faulthandler.cancel_dump_traceback_later()
            self._due = None
            return
        due = min(self._since.values()) + self._seconds
        if self._due is None or due > self._due + self._margin:
            self._due = due
            left = max(0.001, due - time.monotonic())
            faulthandler.dump_traceback_later(left, exit=True, file=sys.__stderr__ or 2)
