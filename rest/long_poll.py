"""Long polls: requests that wait until a job changes. One thread reads the status of all awaited jobs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from msas.errors import Problem, Unavailable
from msas.queue import JobView
from rest.job_reader import Results

_POLL_SECONDS = 0.25


class _Awaited:
    """One job that requests wait for: its status when it was last read, or why it could not be read."""

    def __init__(self, changed: threading.Condition) -> None:
        self.changed = changed
        self.requests = 0
        self.read = False
        self.status: JobView | None = None
        self.problem: Problem | None = None


class LongPolls:
    """Thread-safe. The thread that reads the jobs lives only while requests wait."""

    def __init__(self, results: Results) -> None:
        self._results, self._lock = results, threading.Lock()
        self._awaited: dict[str, _Awaited] = {}
        self._reading = False

    def wait(self, songhash: str, is_news: Callable[[JobView], bool], seconds: float) -> None:
        """Return once `is_news` holds for the job's status, the job is gone, or `seconds` have passed.

        Raises QueueUnavailable or StoreUnavailable as soon as Redis or the store does not answer.
        """
        awaited = self._enter(songhash)
        try:
            with awaited.changed:
                awaited.changed.wait_for(lambda: awaited.problem or _has_news(awaited, is_news), seconds)
            if awaited.problem:
                raise awaited.problem
        finally:
            self._leave(songhash, awaited)

    def _enter(self, songhash: str) -> _Awaited:
        with self._lock:
            awaited = self._awaited.setdefault(songhash, _Awaited(threading.Condition()))
            awaited.requests += 1
            if not self._reading:
                self._reading = True
                threading.Thread(target=self._read_while_awaited, daemon=True).start()
            return awaited

    def _leave(self, songhash: str, awaited: _Awaited) -> None:
        with self._lock:
            awaited.requests -= 1
            if not awaited.requests and self._awaited.get(songhash) is awaited:
                del self._awaited[songhash]

    def _read_while_awaited(self) -> None:
        while True:
            with self._lock:
                awaited = dict(self._awaited)
                if not awaited:
                    self._reading = False
                    return
            self._read(awaited)
            time.sleep(_POLL_SECONDS)

    def _read(self, awaited: dict[str, _Awaited]) -> None:
        try:
            statuses, problem = self._results.jobs(list(awaited)), None
        except Unavailable as found:
            statuses, problem = {}, found
            with self._lock:  # each request hears of it; later ones begin anew
                for songhash in awaited:
                    self._awaited.pop(songhash, None)
        for songhash, each in awaited.items():
            with each.changed:
                if problem or not each.read or each.status != statuses[songhash]:
                    each.read, each.problem = True, problem
                    each.status = statuses.get(songhash)
                    each.changed.notify_all()


def _has_news(awaited: _Awaited, is_news: Callable[[JobView], bool]) -> bool:
    return awaited.read and (awaited.status is None or is_news(awaited.status))
