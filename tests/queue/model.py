"""A model of the queue in plain Python: where messages lie, the state of each job, and how each step changes both.

It follows the descriptions of the scripts, not their code: it has lists for Redis' lists, and no time.
"""

from __future__ import annotations

from dataclasses import dataclass, field

ATTEMPTS, WAITS, STRAYS = 3, 50, 10
GARBAGE = -1  # stands for a message that is no job


@dataclass
class JobModel:
    """One job that Redis knows."""

    status: str = "queued"
    attempt: int = 0
    waits: int = 0
    holder: str | None = None
    token: str | None = None
    settled: str | None = None
    remover: str | None = None


@dataclass
class QueueModel:
    """The queue. A number stands for a job and for each copy of its message."""

    jobs: dict[int, JobModel] = field(default_factory=dict)
    line: list[int] = field(default_factory=list)  # the last is taken next
    delayed: set[int] = field(default_factory=set)
    taken: dict[str, list[int]] = field(default_factory=dict)  # by worker; the last is claimed first
    claims: dict[str, int] = field(default_factory=dict)
    strays: dict[int, int] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)  # workers
    lapsed: list[str] = field(default_factory=list)  # of these, in the order in which their leases expired
    dead: int = 0

    def enqueue(self, number: int, perhaps_lost: bool) -> tuple[bool, str]:
        found = self.jobs.get(number)
        if found and found.status in ("queued", "running"):
            places = [self.line, self.delayed, *(self.taken.get(worker, []) for worker in self.known)]
            if not perhaps_lost or any(number in place for place in places):
                return False, found.status
            self._open(found)
        elif found and (perhaps_lost or found.status != "failed"):
            return False, found.status
        else:
            self.jobs[number] = JobModel()
        self.line.insert(0, number)
        return True, "queued"

    def beat(self, worker: str) -> None:
        self.known.add(worker)
        self.lapsed = [each for each in self.lapsed if each != worker]

    def pop(self, worker: str) -> int | None:
        """Move the next message into the worker's list unless it holds one; return the one that it holds."""
        own = self.taken.setdefault(worker, [])
        if not own and self.line:
            own.insert(0, self.line.pop())
        return own[-1] if own else None

    def claim(self, worker: str, number: int) -> int:
        """Return the attempt's number, or 0; the caller sets the token."""
        self.strays.pop(number, None)
        found = self.jobs.get(number)
        mine = found is not None and found.status == "running" and found.holder == worker
        gone = found is not None and found.status == "running" and number not in self.taken.get(found.holder or "", [])
        if found and found.status != "queued" and not gone and not mine:
            self.taken[worker].remove(number)
            if found.holder == worker:
                found.holder = None
            return 0
        found = self.jobs.setdefault(number, JobModel())
        self.claims[worker] = number
        found.status, found.holder = "running", worker
        found.attempt += not mine
        return found.attempt

    def bury(self, worker: str) -> None:
        self.taken[worker].remove(GARBAGE)
        self.dead += 1

    def held(self, number: int, token: str) -> str:
        """Return the answer to a beat with this token."""
        found = self.jobs.get(number)
        if not found or found.token != token:
            return "lost"
        return "ok" if found.status == "running" else found.status

    def settle(self, number: int, token: str, worker: str, outcome: str) -> str:
        found = self.jobs.get(number)
        if found and found.settled == token:
            return "ok"
        if not found or found.token != token:
            return "lost"
        if found.status == "cancelled" and outcome != "cancelled":
            return "cancelled"
        if number in self.taken.get(worker, []):
            self.taken[worker].remove(number)
        found.settled = token
        if outcome in ("succeeded", "failed"):
            self._close(found, outcome)
        elif outcome == "released":
            self._open(found)
            found.attempt -= 1
            self.line.append(number)
        elif outcome == "waiting":
            found.attempt, found.waits = found.attempt - 1, found.waits + 1
            self._delay(number, found.waits, WAITS)
        elif outcome == "retry":
            self._delay(number, found.attempt, ATTEMPTS)
        elif found.remover:
            found.token = found.holder = None
        else:
            del self.jobs[number]
        return "ok"

    def tick(self) -> None:
        """Put all delayed jobs back in line, and what workers hold whose leases expired."""
        self.line += sorted(self.delayed, reverse=True)
        self.delayed = set()
        for worker in self.lapsed:
            self.reap(worker)

    def reap(self, worker: str) -> None:
        for number in self.taken.pop(worker, []):
            found = self.jobs.get(number)
            running = found is not None and found.status == "running" and found.holder == worker
            if self.claims.get(worker) != number and not running:
                self.strays[number] = self.strays.get(number, 0) + 1
                if self.strays[number] < STRAYS:
                    self.line.append(number)
                else:
                    del self.strays[number]
                    self.dead += 1
                    if found and found.status == "queued":
                        self._close(found, "failed")
            elif not found or found.status == "queued":
                self.line.append(number)
            elif running:
                self._delay(number, found.attempt, ATTEMPTS)
            elif found.holder == worker:
                found.token = found.holder = None

    def leave(self, worker: str) -> None:
        self.reap(worker)
        self.claims.pop(worker, None)
        self.known.discard(worker)
        self.lapsed = [each for each in self.lapsed if each != worker]

    def cancel(self, number: int, remover: str) -> str:
        found = self.jobs.get(number)
        if not found:
            self.jobs[number] = JobModel("cancelled", remover=remover)
            return ""
        if found.remover not in (None, remover):
            return "busy"
        copies = found.status in ("queued", "running") and self._withdraw(number)
        if found.status == "queued" and not copies:
            for worker in self.known:
                self.taken[worker] = [each for each in self.taken.get(worker, []) if each != number]
        before, found.status, found.remover = found.status, "cancelled", remover
        return before

    def drop(self, number: int, remover: str, removed: bool) -> None:
        found = self.jobs.get(number)
        if found and found.status == "cancelled" and found.remover == remover:
            found.remover = None
            if removed and not found.holder:
                del self.jobs[number]

    def publish(self, number: int) -> bool:
        found = self.jobs.get(number)
        if found and found.status != "failed" and not (found.status == "queued" and self._withdraw(number)):
            return False
        self._close(self.jobs.setdefault(number, JobModel()), "succeeded")
        return True

    def _withdraw(self, number: int) -> bool:
        """Remove each copy from the line and the delayed jobs; say whether there was any."""
        there = number in self.line or number in self.delayed
        self.line = [each for each in self.line if each != number]
        self.delayed.discard(number)
        return there

    def _delay(self, number: int, tries: int, most: int) -> None:
        if tries >= most:
            self._close(self.jobs[number], "failed")
            self.dead += 1
        else:
            self._open(self.jobs[number])
            self.delayed.add(number)

    def _open(self, found: JobModel) -> None:
        found.status, found.token, found.holder = "queued", None, None

    def _close(self, found: JobModel, status: str) -> None:
        found.status, found.token, found.holder = status, None, None
