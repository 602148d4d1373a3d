"""Compares all of Redis with the store, page by page, and repairs the differences; daily, and after Redis lost data."""

from __future__ import annotations

import logging
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice

from msas.job import Status
from msas.logs import log
from msas.queue import Leader, Queue, UpkeepRecord
from msas.removal import remove_ended
from msas.store import Store
from msas.store.song_listing import BEGINNING, StoredSong, list_songs
from msas.upkeep.recovery import Recovery, restore_result

PAGE = 500  # songs
GRACE_SECONDS = 3600.0
_SKIPPED_SECONDS = 3600.0  # from a comparison that skipped songs to the next
_log = logging.getLogger("msas.upkeep")


class Comparison:
    """Lists both buckets in the order of songhashes, together with the jobs that have ended, and repairs differences:

    - A job whose message is in the store, but not in Redis, is enqueued.
    - A job whose report is in the store, but whose end is not in Redis, is marked as succeeded.
    - A succeeded job without a report in the store is removed: Redis was restored from before its removal, or the
      store was emptied.
    - Objects that belong to no job and no report are deleted once they are `grace_seconds` old.
    - The bytes in the store are counted.

    After each page it pauses for as long as the page took. Another leader continues after the last page.
    """

    def __init__(
        self,
        queue: Queue,
        store: Store,
        leader: Leader,
        *,
        page: int = PAGE,
        grace_seconds: float = GRACE_SECONDS,
        pause: Callable[[float], None] = lambda seconds: time.sleep(seconds),
    ) -> None:
        self._queue, self._store, self._leader, self._record = queue, store, leader, UpkeepRecord(queue)
        self._page, self._grace_ms, self._pause = page, int(grace_seconds * 1000), pause
        self._recovery = Recovery(queue, store, leader.keep_leadership)
        self.counts = Counter[str]()  # of the last run: `enqueued`, `published`, `lost`, `removed`, `leftovers`

    def is_due(self, every_seconds: float) -> bool:
        """Return whether a comparison has begun, the last one is `every_seconds` old, or Redis was restarted since."""
        found = self._record.progress()
        age_ms = self._queue.now() - found.compared_at
        seconds = min(every_seconds, _SKIPPED_SECONDS) if found.skipped else every_seconds
        return bool(found.cursor) or found.run_id != self._record.run_id() or not 0 <= age_ms < seconds * 1000

    def run(self) -> Iterator[None]:
        """Compare, and yield after each page. The next run continues one that was interrupted.

        Raises LeadershipLost once another process leads.
        """
        self.counts, since = Counter[str](), time.monotonic()
        self._recovery.skipped = 0
        run_id, found = self._record.run_id(), self._record.progress()
        if found.run_id != run_id:
            yield from self._recover_jobs()
        if found.run_id != run_id or not found.cursor:
            self._leader.record_upkeep(run_id=run_id, cursor=BEGINNING, bytes=0, skipped=0)
        yield from self._compare_all()
        self._complete()
        log.event(_log, "compared", seconds=round(time.monotonic() - since, 1), **self.counts)

    def _complete(self) -> None:
        size, now = self._record.progress().bytes, self._queue.now()
        self._leader.record_upkeep(compared_at=now, cursor="", bytes="", stored_bytes=size, counted_at=now)

    def _recover_jobs(self) -> Iterator[None]:
        """Enqueue lost jobs, and register missing workers, before the rest of the comparison."""
        self._queue.register_missing_workers()
        for page in self._pages(list_songs(self._store, songs_only=True)):
            waiting = [song.songhash for song in page if song.is_song and song.message_stored]
            for songhash, status in self._queue.statuses(waiting).items():
                with self._recovery.skipping_errors(songhash):
                    if status is None:
                        self._recover(songhash)
            yield

    def _compare_all(self) -> Iterator[None]:
        listed = set[str]().union(*self._queue.list_all_jobs())
        ended, began = sorted(self._queue.all_ended()), self._queue.now()
        found = self._record.progress()
        cursor, size, skipped = found.cursor, found.bytes, found.skipped
        at = bisect_right(ended, cursor)
        for page in self._pages(list_songs(self._store, cursor)):
            cursor, size = page[-1].cursor, size + sum(song.bytes for song in page)
            end = bisect_right(ended, cursor)
            reported = {song.songhash for song in page if song.has_report}
            self._compare_page([song for song in page if song.is_song], listed)
            self._remove_lost([each for each in ended[at:end] if each not in reported], began)
            self._leader.record_upkeep(cursor=cursor, bytes=size, skipped=skipped + self._recovery.skipped)
            at = end
            yield
        self._remove_lost(ended[at:], began)

    def _pages(self, songs: Iterator[StoredSong]) -> Iterator[list[StoredSong]]:
        """Yield the songs page by page; pause after each page for as long as it took."""
        while True:
            since = time.monotonic()
            page = list(islice(songs, self._page))
            if not page:
                return
            yield page
            self._pause(time.monotonic() - since)
            self._leader.keep_leadership()

    def _compare_page(self, songs: list[StoredSong], listed: set[str]) -> None:
        statuses = self._queue.statuses([song.songhash for song in songs])
        before = datetime.fromtimestamp((self._queue.now() - self._grace_ms) / 1000, UTC)
        for song in songs:
            with self._recovery.skipping_errors(song.songhash):
                status = statuses[song.songhash]
                if status is None:
                    self._compare_unknown(song, before)
                else:
                    self._compare_known(song, status, song.songhash in listed, before)

    def _compare_unknown(self, song: StoredSong, before: datetime) -> None:
        """Restore a job that Redis does not know, or delete its objects."""
        if (song.message_stored or song.has_report) and self._recover(song.songhash):
            return
        if not song.message_stored and song.newest < before:  # a newer song may be being sent
            self.counts["removed"] += remove_ended(self._queue, self._store, song.songhash, 0, reappeared=True)

    def _compare_known(self, song: StoredSong, status: Status, is_listed: bool, before: datetime) -> None:
        may_be_published = status in (Status.QUEUED, Status.FAILED) and song.has_report
        if may_be_published and restore_result(self._queue, self._store, song.songhash):
            self.counts["published"] += 1
        elif status in (Status.QUEUED, Status.RUNNING) and song.message_stored and not is_listed:
            self.counts["enqueued"] += self._recovery.enqueue(song.songhash)
        elif status is Status.SUCCEEDED and song.message_stored and song.message_stored < before:
            self._store.remove_message(song.songhash)  # the worker was killed before it deleted this
        if status is not Status.RUNNING and song.has_leftovers(before):
            self.counts["leftovers"] += self._store.remove_unnamed(song.songhash, before)

    def _remove_lost(self, ended: Sequence[str], began: int) -> None:
        """Remove those of the jobs that succeeded, but have no report in the store."""
        for start in range(0, len(ended), self._page):
            for songhash, status in self._queue.statuses(ended[start : start + self._page]).items():
                with self._recovery.skipping_errors(songhash):
                    if status is Status.SUCCEEDED and self._store.report(songhash) is None:
                        self.counts["lost"] += remove_ended(self._queue, self._store, songhash, began)

    def _recover(self, songhash: str) -> bool:
        restored = self._recovery.recover(songhash)
        if restored:
            self.counts[restored] += 1
        return bool(restored)
