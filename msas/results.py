"""How jobs stand: what Redis has of each, and of those that succeeded also the report, which is in the store."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from msas.job import Status
from msas.job_view import JobView
from msas.queue import Queue
from msas.queue.stats import QueueStats
from msas.store import Store
from msas.upkeep.recovery import publish_again

_KEPT = 2000  # reports, each of some 2 kB
_MISS_SECONDS = 1.0  # so long the store is not asked again for a song that it does not have
_AT_ONCE = 16  # calls of the store
_In = TypeVar("_In")
_Out = TypeVar("_Out")


class Results:
    """One for each process. Keeps the reports that were read last.

    Every method raises QueueUnavailable; StoreUnavailable where a report is needed, or Redis does not know a job.
    """

    def __init__(self, queue: Queue, store: Store) -> None:
        self._queue, self._store, self._stats = queue, store, QueueStats(queue)
        self._reports: OrderedDict[str, tuple[str, dict[str, Any]]] = OrderedDict()
        self._missed: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def job(self, songhash: str) -> JobView | None:
        """Return the status of the job, None where neither Redis nor the store knows it."""
        return self.jobs([songhash])[songhash]

    def jobs(self, songhashes: Sequence[str]) -> dict[str, JobView | None]:
        """Return the status of each job. One that Redis forgot is noted again where it lies finished in the store."""
        found = self._queue.jobs(songhashes)
        unknown = [songhash for songhash, status in found.items() if status is None and not self._is_missing(songhash)]
        found |= self._queue.jobs([songhash for songhash in _each(self._bring_back, unknown) if songhash])
        finished = [status for status in found.values() if status and status.status is Status.SUCCEEDED]
        return found | {status.songhash: status for status in _each(self._with_report, finished)}

    def recent_reports(self) -> list[dict[str, Any]]:
        """Return the reports on the jobs that succeeded last, the newest first."""
        statuses = self._queue.jobs(self._stats.recently_ended())
        finished = [status for status in statuses.values() if status and status.status is Status.SUCCEEDED]
        return [status.report for status in _each(self._with_report, finished) if status.report]

    def _with_report(self, status: JobView) -> JobView:
        with self._lock:
            kept = self._reports.get(status.songhash)
        if kept and kept[0] == status.version:
            return status.with_report(kept[1])
        report = self._store.report(status.songhash)
        if report is None:  # somebody emptied the store; the comparison forgets the job
            return status
        with self._lock:
            self._reports[status.songhash] = status.version, report
            self._reports.move_to_end(status.songhash)
            while len(self._reports) > _KEPT:
                self._reports.popitem(last=False)
        return status.with_report(report)

    def _bring_back(self, songhash: str) -> str:
        """Return the songhash where the job is known again, else ''."""
        if publish_again(self._queue, self._store, songhash, pruned_too=True):
            return songhash
        with self._lock:
            self._missed[songhash] = time.monotonic() + _MISS_SECONDS
            self._missed.move_to_end(songhash)
        return ""

    def _is_missing(self, songhash: str) -> bool:
        now = time.monotonic()
        with self._lock:
            while self._missed and next(iter(self._missed.values())) < now:
                self._missed.popitem(last=False)
            return songhash in self._missed


def _each(function: Callable[[_In], _Out], items: Sequence[_In]) -> list[_Out]:
    """Call `function` for each item, several at once; raise the first error."""
    if len(items) < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(min(len(items), _AT_ONCE)) as pool:
        return list(pool.map(function, items))
