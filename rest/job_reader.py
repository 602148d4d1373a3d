"""Reads jobs for REST: fields from Redis, reports from the store; restores in Redis a result that it lost."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from msas.job import Status
from msas.queue import JobView, Queue
from msas.queue.stats import QueueStats
from msas.report import Report
from msas.store import Store
from msas.upkeep.recovery import restore_result

_CACHED_REPORTS = 2000  # about 2 kB each
_MISS_SECONDS = 1.0  # until the store is asked again for a song that it does not have
_CONCURRENT_CALLS = 16  # to the store
_In = TypeVar("_In")
_Out = TypeVar("_Out")


class Results:
    """One for each process; caches reports.

    Methods raise QueueUnavailable, and StoreUnavailable where a report is needed or Redis does not know a job.
    """

    def __init__(self, queue: Queue, store: Store) -> None:
        self._queue, self._store, self._stats = queue, store, QueueStats(queue)
        self._reports: OrderedDict[str, tuple[str, Report]] = OrderedDict()
        self._missed: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def job(self, songhash: str) -> JobView | None:
        """Return the job; None where neither Redis nor the store has it."""
        return self.jobs([songhash])[songhash]

    def jobs(self, songhashes: Sequence[str]) -> dict[str, JobView | None]:
        """Return each job. A result that is in the store only is restored in Redis."""
        found = self._queue.jobs(songhashes)
        unknown = [songhash for songhash, job in found.items() if job is None and not self._is_missing(songhash)]
        found |= self._queue.jobs([songhash for songhash in _map(self._restore, unknown) if songhash])
        return found | {job.songhash: job for job in self._with_reports(found.values())}

    def recent_reports(self) -> list[Report]:
        """Return the reports on the jobs that succeeded last, the newest first."""
        recent = self._queue.jobs(self._stats.recently_ended())
        return [job.report for job in self._with_reports(recent.values()) if job.report]

    def _with_reports(self, jobs: Iterable[JobView | None]) -> list[JobView]:
        """Return those of the jobs that succeeded, with their reports."""
        return _map(self._with_report, [job for job in jobs if job and job.status is Status.SUCCEEDED])

    def _with_report(self, job: JobView) -> JobView:
        with self._lock:
            kept = self._reports.get(job.songhash)
        if kept and kept[0] == job.version:
            return job.with_report(kept[1])
        report = self._store.report(job.songhash)
        if report is None:  # the store was emptied; the comparison will remove the job
            return job
        with self._lock:
            self._reports[job.songhash] = job.version, report
            self._reports.move_to_end(job.songhash)
            while len(self._reports) > _CACHED_REPORTS:
                self._reports.popitem(last=False)
        return job.with_report(report)

    def _restore(self, songhash: str) -> str:
        """Restore the job's result; return its songhash, or '' where there is none."""
        if restore_result(self._queue, self._store, songhash, also_incomplete=True):
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


def _map(function: Callable[[_In], _Out], items: Sequence[_In]) -> list[_Out]:
    """Call `function` for each item, up to 16 at once; raise the first error."""
    if len(items) < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(min(len(items), _CONCURRENT_CALLS)) as pool:
        return list(pool.map(function, items))
