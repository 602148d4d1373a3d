"""Brings back into Redis what it lost and the store still has: a job's message, or the report on its end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from msas.errors import QueueUnavailable, RedisFull
from msas.job import BrokenMessage, Job, Status
from msas.logs import log
from msas.queue import LeadershipLost, Queue
from msas.removal import remove
from msas.store import Store

_log = logging.getLogger("msas.upkeep")


def publish_again(queue: Queue, store: Store, songhash: str, *, pruned_too: bool = False) -> bool:
    """Note the job as succeeded where it lies finished in the store; return whether it was noted.

    Without `pruned_too`, only where no stem was removed: one that waits, waits to be separated again.
    """
    found = store.published(songhash)
    if found is None:
        return False
    report, stored_at = found
    if report.removed and not pruned_too:
        return False
    if not queue.restore_result(songhash, int(stored_at.timestamp() * 1000), is_pruned=bool(report.removed)):
        return False
    if owners := store.owners(songhash):
        queue.add_owners(songhash, owners)
    if store.report(songhash) is None:
        remove(queue, store, songhash, ghost=True)  # it was removed just when it was published
    return True


class Recovery:
    """For the process that leads: `keep_leadership` raises LeadershipLost where it does no longer."""

    def __init__(self, queue: Queue, store: Store, keep_leadership: Callable[[], None]) -> None:
        self._queue, self._store, self._keep_leadership = queue, store, keep_leadership
        self.skipped = 0  # songs on which the work ended with an error

    def enqueue(self, songhash: str, *, perhaps_lost: bool = True) -> bool:
        """Put the job in line whose message lies in the store; return whether it was put there.

        With `perhaps_lost`, also one that Redis knows as queued or running, but whose message is nowhere.
        """
        message = self._store.message(songhash)
        if message is None:
            return False  # settled, or removed, since it was listed
        try:
            job, owners = Job.from_message(message), self._store.owners(songhash)
            if owners and job.owner not in owners:  # the one who sent it first removed it from its own songs
                job = replace(job, owner=owners[0])
            created, _ = self._queue.enqueue(job, perhaps_lost=perhaps_lost)
        except BrokenMessage:
            return False
        if created and owners:
            self._queue.add_owners(songhash, owners)
        if created and self._store.message(songhash) is None:
            status = self._queue.statuses([songhash])[songhash]
            if status in (Status.QUEUED, Status.RUNNING, Status.FAILED):
                remove(self._queue, self._store, songhash, ghost=True)  # it was removed just when it was put in line
        return created

    def publish(self, songhash: str, *, pruned_too: bool = False) -> bool:
        """Note the job as succeeded where its report and all its stems lie in the store; return whether it was noted.

        With `pruned_too`, also what lost a stem: where it waits, it waits to be separated again.
        """
        return publish_again(self._queue, self._store, songhash, pruned_too=pruned_too)

    def bring_back(self, songhash: str) -> str:
        """Bring back a job that Redis does not know; return what was done: 'published', 'enqueued' or ''."""
        if self.publish(songhash, pruned_too=True):
            self.enqueue(songhash, perhaps_lost=False)  # it stays as it is, and its callback is told
            return "published"
        return "enqueued" if self.enqueue(songhash) else ""

    @contextmanager
    def surviving(self, songhash: str) -> Iterator[None]:
        """Let one odd object not end the work on all others; a server that is away, or lost leadership, ends it."""
        self._keep_leadership()
        try:
            yield
        except RedisFull as full:  # it refuses jobs; what is over must be removed all the same
            self._skip(songhash, full.detail)
        except (QueueUnavailable, LeadershipLost):
            raise
        except Exception as error:
            self._store.check()
            self._skip(songhash, f"{type(error).__name__}: {error}")

    def _skip(self, songhash: str, why: str) -> None:
        self.skipped += 1
        log.event(_log, "song skipped", logging.WARNING, songhash=songhash, why=why)
