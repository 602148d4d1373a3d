"""Estimates when a job will end, from the queue and from how long recent jobs took."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import accumulate
from statistics import mean, median
from threading import Lock

from msas.errors import StoreUnavailable
from msas.job import Status
from msas.queue import JobView, Queue
from msas.queue.stats import QueueStats
from msas.report import Report
from rest.job_reader import Results

_FRESH_SECONDS = 5.0  # so long is one look at the queue good for all who ask
_EXACT = 100  # jobs at the head of the queue whose own lengths count
_PROGRESS_THAT_TELLS = 0.05


class Pace:
    """How many seconds of song a model gets done in a second, on the device that it ran on last: the median."""

    def __init__(self, reports: Iterable[Report]) -> None:
        factors: dict[tuple[str, str], list[float]] = {}
        self._device: dict[str, str] = {}
        self._lengths = list[float]()
        for report in reports:
            model, device, factor = report.model, report.device, report.real_time_factor
            if device and factor and report.song:
                self._device.setdefault(model, device)  # the newest comes first
                factors.setdefault((model, device), []).append(factor)
                self._lengths.append(report.song.seconds)
        self._factors = {key: median(found) for key, found in factors.items()}

    def seconds(self, model: str | None, song_seconds: float | None) -> float | None:
        """Return how long a song takes; None where this model did none lately. An unknown length: the usual one."""
        factor = self._factors.get((model or "", self._device.get(model or "", "")))
        if factor is None:
            return None
        return (song_seconds or mean(self._lengths)) / factor

    def usual_seconds(self, model: str | None, song_seconds: float | None) -> float:
        """Return how long a song takes; of a model that did none lately, what the model takes that ran last."""
        found = self.seconds(model, song_seconds)
        return found if found is not None else self.seconds(next(iter(self._device), None), song_seconds) or 0.0


class Eta:
    """Estimates for all who ask, from one look at the queue every few seconds."""

    def __init__(self, queue: Queue, results: Results) -> None:
        self._stats, self._queue, self._results = QueueStats(queue), queue, results
        self._seen, self._workers, self._pace = -_FRESH_SECONDS, 1, Pace(())
        self._running = 0.0  # seconds of work that the running jobs still need
        self._ahead = [0.0]  # seconds of work of the first 0, 1, 2 ... jobs that wait
        self._looking = Lock()

    def seconds(self, job: JobView) -> float | None:
        """Return about how long `job` still takes, in seconds; None where it is over or nothing is known yet."""
        if job.has_ended:
            return None
        self._look()
        own = self._pace.seconds(job.model, job.seconds)
        if job.status is Status.RUNNING:
            return self._rest(job, own)
        if own is None or job.queue_position is None:
            return None
        return round((self._running + self._work_ahead(job.queue_position - 1)) / max(self._workers, 1) + own, 1)

    def _work_ahead(self, count: int) -> float:
        """Return the seconds of work of the first `count` jobs that wait; beyond _EXACT the mean of those counts."""
        known = min(count, len(self._ahead) - 1)
        return self._ahead[known] + (count - known) * (self._ahead[-1] / max(len(self._ahead) - 1, 1))

    def _rest(self, job: JobView, own: float | None) -> float | None:
        """What is left of a running job, by what it took so far where that says enough, else by its like."""
        if not job.started_at:
            return None
        so_far = self._queue.now() / 1000 - job.started_at.timestamp()
        if job.progress >= _PROGRESS_THAT_TELLS:
            return round(max(so_far / job.progress * (1 - job.progress), 0.0), 1)
        return None if own is None else round(max(own - so_far, 0.0), 1)

    def _look(self) -> None:
        if time.monotonic() - self._seen < _FRESH_SECONDS or not self._looking.acquire(blocking=False):
            return  # what another thread looks up at this moment is for the next who ask
        try:
            self._look_now()
        finally:
            self._looking.release()

    def _look_now(self) -> None:
        self._workers = self._stats.count_jobs().workers
        with suppress(StoreUnavailable):  # then the pace stays as it was
            self._pace = Pace(self._results.recent_reports())
        found = self._queue.list_jobs(0, _EXACT)
        work = self._work([*found.running, *found.waiting])
        running = len(found.running)
        self._running = sum(work[:running])
        self._ahead = [0.0, *accumulate(work[running:])]
        self._seen = time.monotonic()

    def _work(self, jobs: Sequence[str]) -> list[float]:
        """Return the seconds of work that each job still needs."""
        facts = [self._queue.read_field(jobs, name) for name in ("model", "seconds", "progress")]
        return [
            self._pace.usual_seconds(model, float(seconds) if seconds else None) * (1 - float(progress or 0))
            for model, seconds, progress in zip(*facts, strict=True)
        ]
