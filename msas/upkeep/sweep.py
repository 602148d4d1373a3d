"""The regular sweep: restores what was lost lately; deletes what has expired and, in a full store, the oldest."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

from msas.job import Status
from msas.logs import log
from msas.queue import Leader, Queue, Span, UpkeepRecord
from msas.removal import remove_ended
from msas.store import Store
from msas.upkeep.recovery import Recovery, restore_result

_SECOND_MS, _HOUR_MS, _DAY_MS = 1_000, 3_600_000, 86_400_000
_FULL_SHARE = 0.9  # of the store's size, above which the oldest songs are deleted
_FRESH_MS = 6 * _HOUR_MS  # the age up to which a count of the store's bytes may decide on deletions
_PAGE = 100  # jobs
_log = logging.getLogger("msas.upkeep")


class Sweep:
    """Checks each song `first_check_seconds` after it was received, ended or was removed, then after twice, four times
    as long and so on, for a day. Songs that do not change cost nothing."""

    def __init__(
        self,
        queue: Queue,
        store: Store,
        leader: Leader,
        *,
        keep_days: float,
        first_check_seconds: float,
        max_store_bytes: float = 0,
    ) -> None:
        """`max_store_bytes` is the size of the store; 0 where it is not known."""
        self._queue, self._store, self._leader, self._record = queue, store, leader, UpkeepRecord(queue)
        self._keep_ms, self._max_bytes = int(keep_days * _DAY_MS), max_store_bytes
        first = int(first_check_seconds * _SECOND_MS)
        self._ages = [first * 2**n for n in range(32) if first * 2**n < _DAY_MS] if first else [0]
        self._recovery = Recovery(queue, store, leader.keep_leadership)
        self.counts = Counter[str]()  # of the last run: `enqueued`, `published`, `removed`

    def run(self) -> None:
        """Sweep once. The sweep after one that was interrupted checks the same songs. Raises LeadershipLost."""
        self.counts = Counter[str]()
        now, previous = self._queue.now(), self._record.progress().swept_at
        if not 0 < previous <= now:
            previous = now - _DAY_MS  # the first sweep, or Redis' clock was set back
        spans = [(previous - age, now - age) for age in self._ages]
        self._recover_received(spans, now)
        self._remove_reappeared(spans)
        self._check_ended(spans[0])
        self._remove_expired(now - self._keep_ms)
        self._make_room(now)
        self._leader.record_upkeep(swept_at=now)
        if self.counts:
            log.event(_log, "swept", **self.counts)

    def _recover_received(self, spans: Sequence[Span], now: int) -> None:
        """Enqueue songs that REST stored but did not enqueue, and jobs whose message is in no list."""
        songs = self._record.received(spans)
        statuses = self._queue.statuses(list(songs))
        unfinished = {songhash for songhash, each in statuses.items() if each in (Status.QUEUED, Status.RUNNING)}
        listed = set[str]().union(*self._queue.list_all_jobs()) if unfinished else set()
        for songhash, status in statuses.items():
            with self._recovery.skipping_errors(songhash):
                if status is None:
                    self.counts[self._recovery.recover(songhash)] += 1
                elif songhash in unfinished - listed and self._recovery.enqueue(songhash):
                    self.counts["enqueued"] += 1
        del self.counts[""]
        ended = {songhash for songhash, status in statuses.items() if status and songhash not in unfinished}
        self._record.forget_received(ended | self._record.received([(0, now - _DAY_MS)]))

    def _remove_reappeared(self, spans: Sequence[Span]) -> None:
        """Delete what a worker whose lease was lost stored after the song was removed."""
        removed = self._record.removed(spans)
        for songhash, status in self._queue.statuses(list(removed)).items():
            with self._recovery.skipping_errors(songhash):
                if status is None and self._store.has_objects(songhash):
                    remove_ended(self._queue, self._store, songhash, 0, reappeared=True)

    def _check_ended(self, span: Span) -> None:
        """Add the bytes of jobs that ended after the store's bytes were counted. Restore the result of failed jobs
        whose report was stored."""
        counted_at = self._record.progress().counted_at
        uncounted = self._record.ended([(max(span[0], counted_at), span[1])]) if counted_at else set()
        for songhash, status in self._queue.statuses(list(self._record.ended([span]))).items():
            with self._recovery.skipping_errors(songhash):
                if status is Status.FAILED and restore_result(self._queue, self._store, songhash):
                    self.counts["published"] += 1
                if songhash in uncounted and status is not Status.CANCELLED:
                    self._record.note_stored(self._store.separated_bytes(songhash))

    def _remove_expired(self, before: int) -> None:
        """Remove jobs that ended before that time, and cancelled jobs whose removal was interrupted."""
        while expired := self._queue.ended_before(before):
            removed = 0
            for songhash in expired:
                with self._recovery.skipping_errors(songhash):
                    removed += remove_ended(self._queue, self._store, songhash, before)
            self.counts["removed"] += removed
            if removed < len(expired):  # another process removes the others
                break

    def _make_room(self, now: int) -> None:
        """While the store is nearly full, remove the songs that ended first, at least an hour ago."""
        found, most = self._record.progress(), _FULL_SHARE * self._max_bytes
        if not self._max_bytes or found.stored_bytes is None or found.stored_bytes <= most:
            return
        if now - found.counted_at > _FRESH_MS:
            self._leader.record_upkeep(compared_at=0)  # the comparison counts again; a later sweep decides
            return
        count = 0
        before = now - _HOUR_MS
        while (oldest := self._queue.ended_before(before, _PAGE, with_cancelled=False)) and self._is_above(most):
            removed = 0
            for songhash in oldest:
                with self._recovery.skipping_errors(songhash):
                    if not self._is_above(most):
                        break
                    removed += remove_ended(self._queue, self._store, songhash, before)
            count += removed
            if not removed:
                break
        facts = {"songs": count, "bytes": self._record.progress().stored_bytes, "max_bytes": int(self._max_bytes)}
        log.event(_log, "store nearly full", logging.WARNING, **facts)

    def _is_above(self, most: float) -> bool:
        return (self._record.progress().stored_bytes or 0) > most
