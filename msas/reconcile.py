"""The store as second memory: what Redis forgot comes back, what is over goes, and nothing is left without an owner."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice

from msas import log
from msas.job import BrokenMessage, Job, State
from msas.problem import QueueUnavailable, RedisFull
from msas.queue import Queue
from msas.store import Store

_DAY_MS = 86_400_000
_AT_ONCE = 500
_log = logging.getLogger("msas.reconcile")


def remove(
    queue: Queue,
    store: Store,
    songhash: str,
    ended_before: int | None = None,
    *,
    ghost: bool = False,
    owner: str = "",
) -> str:
    """Stop the job wherever it is, and remove its song and all that was made of it.

    With `ended_before`, in ms of Redis' clock, only a job that ended by then, or that Redis does not know.
    With `owner`, only a job of that owner; where it has others, too, it is taken away from this one alone.
    A `ghost` came back although it was removed; where somebody sent its song anew just now, that stays.
    Returns what `Queue.cancel` does; where Redis knew nothing of the job but the store did, 'forgotten'.
    A worker that has the job in hands learns of it with its next beat, and removes what it stored since.
    """
    remover = secrets.token_hex(16)
    state = queue.cancel(songhash, remover, ended_before, owner)
    if state == "shared":
        store.remove_owner(songhash, owner)
    if state in ("busy", "kept", "shared") or (owner and not state):
        return state
    try:
        found = not (ghost and store.message(songhash)) and store.remove_song(songhash)
    except BaseException:
        queue.drop(songhash, remover, removed=False)
        raise
    queue.drop(songhash, remover)
    return state or ("forgotten" if found else "")


class Reconciler:
    """Compares the store with Redis; each `sweep` may be cut short anywhere, and done by anyone."""

    def __init__(self, queue: Queue, store: Store, keep_days: float) -> None:
        self._queue, self._store = queue, store
        self._keep_ms = int(keep_days * _DAY_MS)
        self._lost = set[str]()  # jobs that had succeeded at the last sweep, without a report in the store
        self._ghosts = set[str]()  # removed jobs of which something lay in the store at the last sweep
        self._settled: dict[str, str] = {}  # messages of jobs that had succeeded at the last sweep, with their marks

    def sweep(self) -> dict[str, int]:
        """Compare once; return what was found: `enqueued`, `published`, `lost`, `removed`."""
        counts = {"enqueued": 0, "published": 0, "lost": 0, "removed": 0}
        self._queue.adopt()
        self._bring_back_jobs(counts)
        self._bring_back_results(counts)
        self._forget_what_is_lost(counts)
        self._remove_what_is_over(counts)
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
                    elif state is None and self._publish(songhash):
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
        removed = self._queue.removed()
        finished = (songhash for songhash, _, has_report in self._store.songs() if has_report)
        while some := list(islice(finished, _AT_ONCE)):
            for songhash, state in self._queue.states(some).items():
                with self._surviving(songhash):
                    if state in (State.QUEUED, State.FAILED) or (state is None and songhash not in removed):
                        counts["published"] += self._publish(songhash, pruned_too=state is None)

    def _publish(self, songhash: str, *, pruned_too: bool = False) -> bool:
        """With `pruned_too`, also what lost a stem: where it waits, it waits to be separated again."""
        found = self._store.published(songhash)
        if found is None or ("removed" in found[0] and not pruned_too):
            return False
        if not self._queue.publish(found[0], int(found[1].timestamp() * 1000)):
            return False
        if owners := self._store.owners(songhash):
            self._queue.add_owners(songhash, owners)
        if self._store.report(songhash) is None:
            remove(self._queue, self._store, songhash, ghost=True)  # it was removed just when it was published
        return True

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

    @contextmanager
    def _surviving(self, songhash: str) -> Iterator[None]:
        """Let one odd object not end the sweep for all others; a server that is away ends it."""
        try:
            yield
        except RedisFull as full:  # it refuses jobs; what is over must be removed all the same
            log.event(_log, "song skipped", logging.WARNING, songhash=songhash, why=full.detail)
        except QueueUnavailable:
            raise
        except Exception as error:
            self._store.check()
            log.event(_log, "song skipped", logging.WARNING, songhash=songhash, why=f"{type(error).__name__}: {error}")
