"""The store as second memory: what Redis forgot comes back, what is over goes, and nothing is left without an owner."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice

from msas import log
from msas.job import BrokenMessage, Job, State
from msas.problem import QueueUnavailable, RedisFull
from msas.queue import LeadershipLost, Queue
from msas.recovery import publish_again
from msas.removal import remove
from msas.store import Store

_DAY_MS = 86_400_000
_AT_ONCE = 500
_LEFTOVER_SECONDS = 3600.0
_log = logging.getLogger("msas.reconcile")


class Reconciler:
    """Compares the store with Redis; each `sweep` may be cut short anywhere, and done by anyone."""

    def __init__(
        self, queue: Queue, store: Store, keep_days: float, keep_leading: Callable[[], None] = lambda: None
    ) -> None:
        """`keep_leading` is called between any two songs; it raises LeadershipLost where another process leads."""
        self._queue, self._store, self._keep_leading = queue, store, keep_leading
        self._keep_ms = int(keep_days * _DAY_MS)
        self._lost = set[str]()  # jobs that had succeeded at the last sweep, without a report in the store
        self._ghosts = set[str]()  # removed jobs of which something lay in the store at the last sweep
        self._leftovers_due = 0.0  # by the monotonic clock
        self._settled: dict[str, str] = {}  # messages of jobs that had succeeded at the last sweep, with their marks

    def sweep(self) -> dict[str, int]:
        """Compare once; return what was found: `enqueued`, `published`, `lost`, `removed`."""
        counts = {"enqueued": 0, "published": 0, "lost": 0, "removed": 0}
        self._queue.adopt()
        self._bring_back_jobs(counts)
        self._bring_back_results(counts)
        self._forget_what_is_lost(counts)
        self._remove_what_is_over(counts)
        self._remove_leftovers()
        if any(counts.values()):
            log.event(_log, "reconciled", **counts)
        return counts

    def _bring_back_jobs(self, counts: dict[str, int]) -> None:
        """Put into line the jobs whose messages lie in the store, but not in Redis."""
        in_place = {songhash for part in self._queue.overview() for songhash in part}
        messages = ((songhash, mark) for songhash, mark in self._store.messages() if songhash not in in_place)
        settled: dict[str, str] = {}
        while some := dict(islice(messages, _AT_ONCE)):
            for songhash, state in self._queue.states(list(some)).items():
                with self._surviving(songhash):
                    if state is State.SUCCEEDED:
                        settled[songhash] = some[songhash]
                        if self._settled.get(songhash) == some[songhash]:  # twice the same: nobody just sends it again
                            self._store.remove_message(songhash)
                    elif state is None and publish_again(self._queue, self._store, songhash):
                        counts["published"] += 1
                        self._enqueue(songhash, perhaps_lost=False)  # it stays as it is, and its callback is told
                    elif state not in (State.FAILED, State.CANCELLED):
                        # The message of one that failed stays: should Redis forget the job, it is tried again.
                        counts["enqueued"] += self._enqueue(songhash)
        self._settled = settled

    def _enqueue(self, songhash: str, *, perhaps_lost: bool = True) -> bool:
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
            state = self._queue.states([songhash])[songhash]
            if state in (State.QUEUED, State.RUNNING, State.FAILED):
                remove(self._queue, self._store, songhash, ghost=True)  # it was removed just when it was put in line
        return created

    def _bring_back_results(self, counts: dict[str, int]) -> None:
        """Note as succeeded what lies finished in the store, and is unknown to Redis, in line, or failed there."""
        finished = (songhash for songhash, _, has_report in self._store.songs() if has_report)
        while some := list(islice(finished, _AT_ONCE)):
            for songhash, state in self._queue.states(some).items():
                with self._surviving(songhash):
                    if state in (None, State.QUEUED, State.FAILED):
                        is_new = state is None
                        counts["published"] += publish_again(self._queue, self._store, songhash, pruned_too=is_new)

    def _forget_what_is_lost(self, counts: dict[str, int]) -> None:
        """Forget jobs that Redis says have succeeded, but of which two sweeps in a row found no report: Redis went
        back to before they were deleted, or somebody emptied the store."""
        now = self._queue.now()
        reports = {songhash for songhash, _, has_report in self._store.songs() if has_report}
        missing = iter([songhash for songhash in self._queue.over() if songhash not in reports])
        lost = set[str]()
        while some := list(islice(missing, _AT_ONCE)):
            lost |= {songhash for songhash, state in self._queue.states(some).items() if state is State.SUCCEEDED}
        for songhash in lost & self._lost:
            with self._surviving(songhash):
                counts["lost"] += remove(self._queue, self._store, songhash, now) not in ("busy", "kept")
        self._lost = lost

    def _remove_what_is_over(self, counts: dict[str, int]) -> None:
        """Remove jobs that ended KEEP_DAYS ago, objects as old that no job owns, and what a worker that had lost its
        lease stored of a song after that was removed."""
        before = self._queue.now() - self._keep_ms
        newest: dict[str, float] = {}
        for songhash, stored, _ in self._store.songs():
            newest[songhash] = max(newest.get(songhash, 0), stored.timestamp() * 1000)
        old = iter([songhash for songhash, stored_ms in newest.items() if stored_ms < before])
        doomed = set(self._queue.ended(before))
        ghosts = self._queue.removed() & newest.keys()
        while some := list(islice(old, _AT_ONCE)):
            doomed |= {songhash for songhash, state in self._queue.states(some).items() if state is None}
        for songhash in doomed:
            with self._surviving(songhash):
                counts["removed"] += remove(self._queue, self._store, songhash, before) not in ("busy", "kept")
        for songhash in ghosts & self._ghosts:  # twice the same: nobody is just sending it again
            with self._surviving(songhash):
                remove(self._queue, self._store, songhash, 0, ghost=True)
        self._ghosts = ghosts

    def _remove_leftovers(self) -> None:
        """Remove, once an hour, objects that are an hour old and that no report names: of attempts that ended without
        one, and of separations that a later one replaced, which somebody may have been downloading."""
        if time.monotonic() < self._leftovers_due:
            return
        self._leftovers_due = time.monotonic() + _LEFTOVER_SECONDS
        before = datetime.fromtimestamp(self._queue.now() / 1000 - _LEFTOVER_SECONDS, UTC)
        for songhash in self._store.songs_with_leftovers(before):
            with self._surviving(songhash):
                if self._queue.states([songhash])[songhash] is State.RUNNING:
                    continue  # it may have stored its stems, and be waiting for Redis or the store with its report
                if removed := self._store.remove_unnamed(songhash, before):
                    log.event(_log, "leftovers removed", songhash=songhash, objects=removed)

    @contextmanager
    def _surviving(self, songhash: str) -> Iterator[None]:
        """Let one odd object not end the sweep for all others; a server that is away ends it."""
        self._keep_leading()
        try:
            yield
        except RedisFull as full:  # it refuses jobs; what is over must be removed all the same
            log.event(_log, "song skipped", logging.WARNING, songhash=songhash, why=full.detail)
        except (QueueUnavailable, LeadershipLost):
            raise
        except Exception as error:
            self._store.check()
            log.event(_log, "song skipped", logging.WARNING, songhash=songhash, why=f"{type(error).__name__}: {error}")
