"""Bounds the requests in progress and the bytes of songs on disk: beyond a bound new requests get 503."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flask import Flask, request

from msas.errors import TooBusy

_PROBES = ("health.live", "health.ready", "metrics.show")


class Capacity:
    """One for each process. Not thread-safe: greenlets use it."""

    def __init__(self, max_requests: int, max_spooled_bytes: float) -> None:
        self._max_requests, self._max_spooled = max_requests, max_spooled_bytes
        self._requests = self._spooled = 0

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count a request as in progress until its answer is sent."""
        self._requests += 1
        try:
            yield
        finally:
            self._requests -= 1

    def check(self) -> None:
        """Raise TooBusy where more requests are in progress than may be."""
        if self._requests > self._max_requests:
            raise TooBusy(
                f"The service has {self._max_requests} requests in progress, as many as it takes; send this one later."
            )

    @contextmanager
    def spooling(self) -> Iterator[Callable[[int], None]]:
        """Yield a function that is told the size of each chunk of a body before it is written to disk.

        The function raises TooBusy where the bodies that are on disk have left no room.
        """
        size = 0

        def add(count: int) -> None:
            nonlocal size
            self.check_room(count)
            size += count
            self._spooled += count

        try:
            yield add
        finally:
            self._spooled -= size

    def check_room(self, more: int) -> None:
        """Raise TooBusy where the bodies that are on disk leave no room for so many bytes more."""
        if self._spooled + more > self._max_spooled:
            raise TooBusy("The service is receiving as many songs as its disk has room for; send this one later.")


def install(app: Flask, capacity: Capacity) -> None:
    """Refuse calls past the bound before their body is read; probes are always answered."""

    @app.before_request
    def check() -> None:
        if request.endpoint not in _PROBES:
            capacity.check()
