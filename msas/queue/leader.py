"""Leadership: of all processes that could reconcile, one at a time does."""

from __future__ import annotations

import secrets
import time

from msas.queue.queue import Queue

_RENEWALS = 3  # in the time for which a process leads


class LeadershipLost(Exception):
    """Another process leads: stop what only the leader may do."""


class Leader:
    """This process as a candidate. Every method raises QueueUnavailable where Redis does not answer."""

    def __init__(self, queue: Queue, seconds: float, name: str = "") -> None:
        """`seconds`: for how long it leads without renewing."""
        self._queue, self._seconds, self._name = queue, seconds, name or secrets.token_hex(8)
        self._renew_at = 0.0

    def acquire_leadership(self) -> bool:
        """Become the leader, or stay it, for the whole time from now on; return whether this process leads."""
        renew_at = time.monotonic() + self._seconds / _RENEWALS
        leads = bool(self._queue.scripts.run("acquire_leadership", self._name, int(self._seconds * 1000)))
        self._renew_at = renew_at if leads else 0.0
        return leads

    def keep_leadership(self) -> None:
        """Renew the leadership where a third of its time is over. Raises LeadershipLost where another process leads.

        Call it between any two things that only the leader may do.
        """
        if time.monotonic() >= self._renew_at and not self.acquire_leadership():
            raise LeadershipLost

    def record_progress(self, **fields: str | int) -> None:
        """Store these fields of the upkeep's Progress; an empty text removes one. Raises LeadershipLost as above."""
        facts = (str(x) for item in fields.items() for x in item)
        if not self._queue.scripts.run("record_progress", self._name, *facts):
            raise LeadershipLost

    def release_leadership(self) -> None:
        """Let another process lead, if this one still does."""
        self._renew_at = 0.0
        self._queue.scripts.run("release_leadership", self._name)
