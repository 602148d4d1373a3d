"""An observer of jobs in a fault test: what anyone can see of them must make sense at every moment."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from msas.errors import Unavailable
from msas.job import Status
from msas.queue import JobView, Queue


@contextmanager
def observed(queue: Queue, songhashes: list[str]) -> Iterator[None]:
    """Look at the jobs all the time: they must move along allowed edges only, and their progress never back."""
    over, seen = threading.Event(), dict.fromkeys(songhashes, Seen())
    wrong: list[str] = []

    def look() -> None:
        while not over.wait(0.02):
            with suppress(Unavailable):
                for songhash in songhashes:
                    now = Seen.of(queue.job(songhash))
                    if not seen[songhash].may_become(now):
                        wrong.append(f"{songhash}: from {seen[songhash]} to {now}")
                    seen[songhash] = now

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert not wrong


@dataclass(frozen=True)
class Seen:
    """What an observer saw of a job."""

    status: Status | None = None
    attempt: int = 0
    progress: float = 0.0

    @classmethod
    def of(cls, found: JobView | None) -> Seen:
        return cls(found.status, found.attempt, found.progress) if found else cls()

    def may_become(self, other: Seen) -> bool:
        if not 0 <= other.progress <= 1 or other.attempt < self.attempt - 1:
            return False
        if self.status is other.status is Status.RUNNING and self.attempt == other.attempt:
            return other.progress >= self.progress
        return self.status not in (Status.SUCCEEDED, Status.FAILED) or other.status is self.status


def begun(log: str) -> list[str]:
    events = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    return list(dict.fromkeys(event["songhash"] for event in events if event["event"] == "job claimed"))
