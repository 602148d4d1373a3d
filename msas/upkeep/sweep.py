"""The regular sweep: looks only at what changed, and removes what is over."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

from msas.job import Status
from msas.logs import log
from msas.queue import Leader, Queue, Span, UpkeepRecord
from msas.removal import remove
from msas.store import Store
from msas.upkeep.recovery import Recovery

_SECOND_MS, _HOUR_MS, _DAY_MS = 1_000, 3_600_000, 86_400_000
_FULL_SHARE = 0.9  # of the store: from here on the oldest songs are removed
_FRESH_MS = 6 * _HOUR_MS  # for so long a count of the store may decide that songs are removed
_AT_ONCE = 100
_log = logging.getLogger("msas.upkeep")


class Sweep:
    """A song is looked at `first_look_seconds` after it was received, ended or removed; if it is not settled then,
    again after twice, four times as long, and so on for a day. What does not change costs nothing."""

    def __init__(
        self,
        queue: Queue,
        store: Store,
        leader: Leader,
        *,
        keep_days: float,
        first_look_seconds: float,
        max_store_bytes: float = 0,
    ) -> None:
        """`max_store_bytes` is what the store may hold; 0: no bound is known."""
        self._queue, self._store, self._leader, self._record = queue, store, leader, UpkeepRecord(queue)
        self._keep_ms, self._max_bytes = int(keep_days * _DAY_MS), max_store_bytes
        first = int(first_look_seconds * _SECOND_MS)
        self._ages = [first * 2**n for n in range(32) if first * 2**n < _DAY_MS] if first else [0]
        self._recovery = Recovery(queue, store, leader.keep_leadership)
        self.counts = Counter[str]()  # of the last run: `enqueued`, `published`, `removed`

    def run(self) -> None:
        """Sweep once. Where it is cut short, the next sweep looks at the same. Raises LeadershipLost."""
        self.counts = Counter[str]()
        now, previous = self._queue.now(), self._record.progress().swept_at
        if not 0 < previous <= now:
            previous = now - _DAY_MS  # the first sweep, or Redis' clock went back
        spans = [(previous - age, now - age) for age in self._ages]
        self._bring_back_received(spans, now)
        self._remove_ghosts(spans)
        self._note_ended(spans[0])
        self._remove_expired(now - self._keep_ms)
        self._make_room(now)
        self._leader.record_progress(swept_at=now)
        if self.counts:
            log.event(_log, "swept", **self.counts)

    def _bring_back_received(self, spans: Sequence[Span], now: int) -> None:
        """Put in line what REST stored, but could not enqueue, and what was queued, but whose message is nowhere."""
        songs = self._record.received(spans)
        statuses = self._queue.statuses(list(songs))
        waiting = {songhash for songhash, status in statuses.items() if status in (Status.QUEUED, Status.RUNNING)}
        in_place = {songhash for part in self._queue.list_all_jobs() for songhash in part} if waiting else set()
        for songhash, status in statuses.items():
            with self._recovery.surviving(songhash):
                if status is None:
                    self.counts[self._recovery.bring_back(songhash)] += 1
                elif songhash in waiting - in_place and self._recovery.enqueue(songhash):
                    self.counts["enqueued"] += 1
        del self.counts[""]
        ended = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)
        old = self._record.received([(0, now - _DAY_MS)])
        self._record.forget_received(old | {songhash for songhash, status in statuses.items() if status in ended})

    def _remove_ghosts(self, spans: Sequence[Span]) -> None:
        """Remove what a worker that had lost its lease stored of a song after that was removed."""
        removed = self._record.removed(spans)
        for songhash, status in self._queue.statuses(list(removed)).items():
            with self._recovery.surviving(songhash):
                if status is None and self._store.has_objects(songhash):
                    remove(self._queue, self._store, songhash, 0, ghost=True)

    def _note_ended(self, span: Span) -> None:
        """Add the bytes of songs that have ended since the store was counted. Note as succeeded what failed although it
        was published."""
        counted_at = self._record.progress().counted_at
        uncounted = self._record.ended([(max(span[0], counted_at), span[1])]) if counted_at else set()
        for songhash, status in self._queue.statuses(list(self._record.ended([span]))).items():
            with self._recovery.surviving(songhash):
                if status is Status.FAILED and self._recovery.publish(songhash):
                    self.counts["published"] += 1
                if songhash in uncounted and status is not Status.CANCELLED:
                    self._record.note_stored(self._store.separated_bytes(songhash))

    def _remove_expired(self, before: int) -> None:
        """Remove jobs that ended before that time, and cancelled ones whose removal was cut short."""
        while expired := self._queue.ended_before(before):
            gone = 0
            for songhash in expired:
                with self._recovery.surviving(songhash):
                    gone += remove(self._queue, self._store, songhash, before) not in ("busy", "kept")
            self.counts["removed"] += gone
            if gone < len(expired):  # others are at it
                break

    def _make_room(self, now: int) -> None:
        """Remove songs that ended longest ago, but at least an hour ago, while the store is nearly full."""
        found, most = self._record.progress(), _FULL_SHARE * self._max_bytes
        if not self._max_bytes or found.stored_bytes is None or found.stored_bytes <= most:
            return
        if now - found.counted_at > _FRESH_MS:
            self._leader.record_progress(compared_at=0)  # count anew, and decide then
            return
        count = 0
        while (oldest := self._record.oldest_ended(now - _HOUR_MS, _AT_ONCE)) and self._is_above(most):
            gone = 0
            for songhash in oldest:
                with self._recovery.surviving(songhash):
                    if not self._is_above(most):
                        break
                    gone += remove(self._queue, self._store, songhash, now - _HOUR_MS) not in ("busy", "kept")
            count += gone
            if not gone:
                break
        facts = {"songs": count, "bytes": self._record.progress().stored_bytes, "max_bytes": int(self._max_bytes)}
        log.event(_log, "store nearly full", logging.WARNING, **facts)

    def _is_above(self, most: float) -> bool:
        return (self._record.progress().stored_bytes or 0) > most
