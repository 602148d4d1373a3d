"""Restores in Redis what it lost and the store still has: a job's message, or the result of a job."""

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


def restore_result(queue: Queue, store: Store, songhash: str, *, also_incomplete: bool = False) -> bool:
    """Mark the job as succeeded if its report and all the stems that it names are in the store; return whether it did.

    With `also_incomplete`, also a result from which a stem was removed; without it, such a job, which was sent again,
    stays queued.
    """
    found = store.published(songhash)
    if found is None:
        return False
    report, stored_at = found
    if report.removed and not also_incomplete:
        return False
    if not queue.restore_result(songhash, int(stored_at.timestamp() * 1000), is_incomplete=bool(report.removed)):
        return False
    if owners := store.owners(songhash):
        queue.add_owners(songhash, owners)
    if store.report(songhash) is None:
        remove(queue, store, songhash, reappeared=True)  # the job was removed while its result was restored
    return True


class Recovery:
    """For the leading process: `keep_leadership` raises LeadershipLost once another process leads."""

    def __init__(self, queue: Queue, store: Store, keep_leadership: Callable[[], None]) -> None:
        self._queue, self._store, self._keep_leadership = queue, store, keep_leadership
        self.skipped = 0  # songs whose recovery failed

    def enqueue(self, songhash: str, *, perhaps_lost: bool = True) -> bool:
        """Enqueue the job whose message is in the store; return whether it was enqueued.

        With `perhaps_lost`, also a job that Redis has as queued or running, but without a message in any list.
        """
        message = self._store.message(songhash)
        if message is None:
            return False  # the job was settled or removed after it was listed
        try:
            job, owners = Job.from_message(message), self._store.owners(songhash)
            if owners and job.owner not in owners:  # its first owner has removed it
                job = replace(job, owner=owners[0])
            created, _ = self._queue.enqueue(job, perhaps_lost=perhaps_lost)
        except BrokenMessage:
            return False
        if created and owners:
            self._queue.add_owners(songhash, owners)
        if created and self._store.message(songhash) is None:
            status = self._queue.statuses([songhash])[songhash]
            if status in (Status.QUEUED, Status.RUNNING, Status.FAILED):
                remove(self._queue, self._store, songhash, reappeared=True)  # it was removed while it was enqueued
        return created

    def recover(self, songhash: str) -> str:
        """Restore a job that Redis does not know; return what was restored: 'published', 'enqueued' or ''."""
        if restore_result(self._queue, self._store, songhash, also_incomplete=True):
            self.enqueue(songhash, perhaps_lost=False)  # only adds the callback of a message that is still stored
            return "published"
        return "enqueued" if self.enqueue(songhash) else ""

    @contextmanager
    def skipping_errors(self, songhash: str) -> Iterator[None]:
        """Log and count an error of one song, so that the others are still processed.

        Lost leadership, and a server that is away, end the block with their exception.
        """
        self._keep_leadership()
        try:
            yield
        except RedisFull as full:  # no job can be enqueued, but expired ones must be removed
            self._skip(songhash, full.detail)
        except (QueueUnavailable, LeadershipLost):
            raise
        except Exception as error:
            self._store.check_writable()
            self._skip(songhash, f"{type(error).__name__}: {error}")

    def _skip(self, songhash: str, why: str) -> None:
        self.skipped += 1
        log.event(_log, "song skipped", logging.WARNING, songhash=songhash, why=why)
