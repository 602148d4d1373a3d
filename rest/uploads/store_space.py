"""Refuses songs before their upload while the store holds more than 95 % of MAX_STORE_GB."""

from __future__ import annotations

import time

from msas.errors import StoreFull
from msas.queue import Queue, UpkeepRecord

_FRESH_SECONDS = 2.0  # one look at Redis serves all requests for so long
_MOST = 0.95  # of MAX_STORE_GB; above 0.9 the sweep removes the songs that ended first


class StoreSpace:
    """One for each process."""

    def __init__(self, queue: Queue, max_gb: float) -> None:
        """`max_gb` is what the store may hold, in GB; 0: no bound is known."""
        self._record, self.max_bytes = UpkeepRecord(queue), max_gb * 1e9
        self._read_at, self._bytes = -_FRESH_SECONDS, 0

    def stored_bytes(self) -> int:
        """Return how many bytes the store holds; 0 before they were counted first."""
        if time.monotonic() - self._read_at >= _FRESH_SECONDS:
            self._bytes = self._record.progress().stored_bytes or 0
            self._read_at = time.monotonic()
        return self._bytes

    def has_room(self) -> bool:
        """Say whether the store takes one more song."""
        return not self.max_bytes or self.stored_bytes() <= _MOST * self.max_bytes

    def check(self) -> None:
        """Raise StoreFull where the store holds more than 95 % of what it may."""
        if not self.has_room():
            raise StoreFull(
                f"The store holds {self.stored_bytes() / 1e9:.1f} of the {self.max_bytes / 1e9:.1f} GB that it may; "
                "send the song again later, once the oldest songs were removed."
            )
