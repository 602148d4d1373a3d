"""Leader election: at most one process at a time runs the upkeep."""

from __future__ import annotations

import secrets
import time

from msas.queue.queue import Queue

_RENEWALS = 3  # within the time for which leadership lasts


class LeadershipLost(Exception):
    """Another process leads; stop the upkeep."""


class Leader:
    """This process as a candidate. Methods raise QueueUnavailable where Redis does not answer."""

    def __init__(self, queue: Queue, seconds: float, name: str = "") -> None:
        """Leadership lasts `seconds` unless it is renewed."""
        self._queue, self._seconds, self._name = queue, seconds, name or secrets.token_hex(8)
        self._renew_at = 0.0

    def acquire_leadership(self) -> bool:
        """Become or stay the leader, from now for the whole time; return whether this process leads."""
        renew_at = time.monotonic() + self._seconds / _RENEWALS
        leads = bool(self._queue.scripts.run("acquire_leadership", self._name, int(self._seconds * 1000)))
        self._renew_at = renew_at if leads else 0.0
        return leads

    def keep_leadership(self) -> None:
        """Renew the leadership after a third of its time. Raises LeadershipLost where another process leads.

        Call it between any two actions that only the leader may do.
        """
        if time.monotonic() >= self._renew_at and not self.acquire_leadership():
            raise LeadershipLost

    def record_upkeep(self, **fields: str | int) -> None:
        """Store fields of the upkeep's Progress; '' removes one. Raises LeadershipLost where another process leads."""
        facts = (str(x) for item in fields.items() for x in item)
        if not self._queue.scripts.run("record_upkeep", self._name, *facts):
            raise LeadershipLost

    def release_leadership(self) -> None:
        """End the leadership of this process, if it leads."""
        self._renew_at = 0.0
        self._queue.scripts.run("release_leadership", self._name)
