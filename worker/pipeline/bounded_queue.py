"""Bounded queues between the threads of a separation, and a thread that reads ahead."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Generic, TypeVar

from worker.system import lower_thread_priority

T = TypeVar("T")


class ReaderGone(Exception):
    """The reader has stopped; its own error says why."""


class BoundedQueue(Generic[T]):
    """Holds at most `size` items on their way from one thread, which puts, to another, which iterates."""

    def __init__(self, size: int) -> None:
        self._size, self._items = size, deque[T]()
        self._change = threading.Condition()
        self._ended, self._left = False, False
        self._error: BaseException | None = None

    def put(self, item: T) -> None:
        """Wait for room, then add `item`. Raises ReaderGone."""
        with self._change:
            self._change.wait_for(lambda: self._left or len(self._items) < self._size)
            if self._left:
                raise ReaderGone
            self._items.append(item)
            self._change.notify_all()

    def end(self, error: BaseException | None = None) -> None:
        """End the queue; with `error`, the reader raises it at once."""
        with self._change:
            self._ended, self._error = True, error
            self._change.notify_all()

    def leave(self) -> None:
        """Stop reading: `put` raises ReaderGone from now on."""
        with self._change:
            self._left = True
            self._items.clear()
            self._change.notify_all()

    def __iter__(self) -> Iterator[T]:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._items or self._ended)
                if self._error:
                    raise self._error
                if not self._items:
                    return
                item = self._items.popleft()
                self._change.notify_all()
            yield item


@contextmanager
def prefetch(items: Callable[[], Iterable[T]], size: int) -> Iterator[Iterator[T]]:
    """Iterate over `items()` in a thread, at most `size` items ahead of the reader."""
    queue = BoundedQueue[T](size)

    def run() -> None:
        lower_thread_priority()
        try:
            for item in items():
                queue.put(item)
            queue.end()
        except ReaderGone:
            pass
        except BaseException as error:
            queue.end(error)

    thread = threading.Thread(target=copy_context().run, args=(run,), name="prefetch", daemon=True)
    thread.start()
    try:
        yield iter(queue)
    finally:
        queue.leave()
        thread.join()
