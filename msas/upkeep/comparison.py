"""The full comparison of Redis with the store: rare, page by page; the next leader continues where one stopped."""

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
from msas.removal import remove
from msas.store import Store
from msas.store.listing import BEGINNING, StoredSong, list_songs
from msas.upkeep.recovery import Recovery

PAGE = 500  # songs
GRACE_SECONDS = 3600.0
_SKIPPED_SECONDS = 3600.0  # so long after a comparison that skipped songs comes the next
_log = logging.getLogger("msas.upkeep")


class Comparison:
    """Lists both buckets once, in the order of songhashes, beside the jobs that have ended; sets right what differs:

    - a job whose message lies in the store, but not in Redis, is put in line;
    - a job whose report lies there, but whose end Redis does not know, is noted as succeeded;
    - a job that has succeeded, but has no report there, is forgotten: Redis went back to before it was deleted, or
      somebody emptied the store;
    - objects that no job and no report claims are removed once they are `grace_seconds` old;
    - the bytes of the store are counted.

    It takes at most half of the time: after each page it pauses as long as the page took.
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
        """Say whether one is under way, the last one is so long ago, or Redis may have lost something since then."""
        found = self._record.progress()
        age_ms = self._queue.now() - found.compared_at
        seconds = min(every_seconds, _SKIPPED_SECONDS) if found.skipped else every_seconds
        return bool(found.cursor) or found.run_id != self._record.run_id() or not 0 <= age_ms < seconds * 1000

    def run(self) -> Iterator[None]:
        """Compare, and yield after each page. Where a comparison is under way, go on after what it has seen.

        Raises LeadershipLost once another process leads. Whatever ends it, the next run goes on after the last page.
        """
        self.counts, since = Counter[str](), time.monotonic()
        self._recovery.skipped = 0
        run_id, found = self._record.run_id(), self._record.progress()
        if found.run_id != run_id:
            yield from self._bring_back_jobs()
        if found.run_id != run_id or not found.cursor:
            self._leader.record_progress(run_id=run_id, cursor=BEGINNING, bytes=0, skipped=0)
        yield from self._compare_all()
        self._complete()
        log.event(_log, "compared", seconds=round(time.monotonic() - since, 1), **self.counts)

    def _complete(self) -> None:
        size, now = self._record.progress().bytes, self._queue.now()
        self._leader.record_progress(compared_at=now, cursor="", bytes="", stored_bytes=size, counted_at=now)

    def _bring_back_jobs(self) -> Iterator[None]:
        """Put lost jobs in line, and make their workers known again, before all else: they wait."""
        self._queue.register_missing_workers()
        for page in self._pages(list_songs(self._store, songs_only=True)):
            waiting = [song.songhash for song in page if song.is_song and song.message_stored]
            for songhash, status in self._queue.statuses(waiting).items():
                with self._recovery.surviving(songhash):
                    if status is None:
                        self._bring_back(songhash)
            yield

    def _compare_all(self) -> Iterator[None]:
        in_place = {songhash for part in self._queue.list_all_jobs() for songhash in part}
        ended, began = sorted(self._queue.all_ended()), self._queue.now()
        found = self._record.progress()
        cursor, size, skipped = found.cursor, found.bytes, found.skipped
        at = bisect_right(ended, cursor)
        for page in self._pages(list_songs(self._store, cursor)):
            cursor, size = page[-1].cursor, size + sum(song.bytes for song in page)
            end = bisect_right(ended, cursor)
            reported = {song.songhash for song in page if song.has_report}
            self._compare_page([song for song in page if song.is_song], in_place)
            self._forget_lost([each for each in ended[at:end] if each not in reported], began)
            self._leader.record_progress(cursor=cursor, bytes=size, skipped=skipped + self._recovery.skipped)
            at = end
            yield
        self._forget_lost(ended[at:], began)

    def _pages(self, songs: Iterator[StoredSong]) -> Iterator[list[StoredSong]]:
        """Yield the songs page by page; pause after each for as long as it took."""
        while True:
            since = time.monotonic()
            page = list(islice(songs, self._page))
            if not page:
                return
            yield page
            self._pause(time.monotonic() - since)
            self._leader.keep_leadership()

    def _compare_page(self, songs: list[StoredSong], in_place: set[str]) -> None:
        statuses = self._queue.statuses([song.songhash for song in songs])
        before = datetime.fromtimestamp((self._queue.now() - self._grace_ms) / 1000, UTC)
        for song in songs:
            with self._recovery.surviving(song.songhash):
                status = statuses[song.songhash]
                if status is None:
                    self._compare_unknown(song, before)
                else:
                    self._compare_known(song, status, song.songhash in in_place, before)

    def _compare_unknown(self, song: StoredSong, before: datetime) -> None:
        """Bring back a job that Redis does not know, or remove its objects."""
        if (song.message_stored or song.has_report) and self._bring_back(song.songhash):
            return
        if not song.message_stored and song.newest < before:  # else somebody is just sending it
            gone = remove(self._queue, self._store, song.songhash, 0, ghost=True) not in ("busy", "kept")
            self.counts["removed"] += gone

    def _compare_known(self, song: StoredSong, status: Status, is_in_place: bool, before: datetime) -> None:
        if status in (Status.QUEUED, Status.FAILED) and song.has_report and self._recovery.publish(song.songhash):
            self.counts["published"] += 1
        elif status in (Status.QUEUED, Status.RUNNING) and song.message_stored and not is_in_place:
            self.counts["enqueued"] += self._recovery.enqueue(song.songhash)
        elif status is Status.SUCCEEDED and song.message_stored and song.message_stored < before:
            self._store.remove_message(song.songhash)  # its worker was killed before it did
        if status is not Status.RUNNING and song.has_leftovers(before):
            self.counts["leftovers"] += self._store.remove_unnamed(song.songhash, before)

    def _forget_lost(self, ended: Sequence[str], began: int) -> None:
        """Forget those of the jobs that have succeeded, but have no report in the store."""
        for start in range(0, len(ended), self._page):
            for songhash, status in self._queue.statuses(ended[start : start + self._page]).items():
                with self._recovery.surviving(songhash):
                    if status is Status.SUCCEEDED and self._store.report(songhash) is None:
                        gone = remove(self._queue, self._store, songhash, began) not in ("busy", "kept")
                        self.counts["lost"] += gone

    def _bring_back(self, songhash: str) -> bool:
        done = self._recovery.bring_back(songhash)
        if done:
            self.counts[done] += 1
        return bool(done)
