"""Tells Redis how far downloads are, and waits for a model that could not be had at the start."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from msas.errors import QueueUnavailable
from msas.queue import ModelLoad, ModelLoads
from worker.weights.download import Download
from worker.weights.hub import OnBytes

_REPORT_SECONDS = 0.5
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 5.0, 300.0


class LoadReports:
    """Stores the state of downloads in Redis, at most twice a second; Redis being away stops none of them."""

    def __init__(self, loads: ModelLoads | None) -> None:
        self._loads, self._told = loads, 0.0

    @contextmanager
    def of(self, model: str) -> Iterator[Callable[[ModelLoad], None]]:
        """Yield a function that reports on the download of `model`; afterwards nothing is left in Redis."""
        try:
            yield self._report
        finally:
            if self._loads:
                with suppress(QueueUnavailable):
                    self._loads.finish(model)

    def _report(self, load: ModelLoad) -> None:
        if self._loads and time.monotonic() - self._told >= _REPORT_SECONDS:
            self._told = time.monotonic()
            with suppress(QueueUnavailable):
                self._loads.record(load)


class Awaited:
    """A model that is downloaded while another one stands in.

    What failed is tried again: after 5 s, then after twice as long each time, up to 5 minutes.
    """

    def __init__(self, name: str, fetch: Callable[[str, OnBytes], object]) -> None:
        self.name, self._fetch = name, fetch
        self._pause = _FIRST_PAUSE_SECONDS
        self._next = time.monotonic() + self._pause
        self._download: Download | None = None

    def is_there(self) -> bool:
        """Say whether the weights have arrived; start the next attempt where it is due."""
        if self._download and self._download.is_done:
            return True
        if (self._download is None or self._download.has_ended) and time.monotonic() >= self._next:
            self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
            self._next = time.monotonic() + self._pause
            self._download = Download(self.name, self._fetch)
        return False
