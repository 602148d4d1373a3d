"""A model of the queue in plain Python: where messages lie, the state of each job, and how each step changes both.

It follows the descriptions of the scripts, not their code: it has lists for Redis' lists, and no time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Set
from dataclasses import dataclass, field

from tests.queue.lines_model import LinesModel, Name

ATTEMPTS, WAITS, STRAYS, LOST = 3, 50, 10, 6
GARBAGE = -1  # stands for a message that is no job


@dataclass
class JobModel:
    """One job that Redis knows."""

    status: str = "queued"
    attempt: int = 0
    waits: int = 0
    lost: int = 0
    holder: str | None = None
    token: str | None = None
    settled: str | None = None
    remover: str | None = None
    owner: str = ""
    avoid: str | None = None  # the worker whose attempt failed
    was_enqueued: bool = False  # so it counts in its owner's share until it has ended

    @property
    def is_unfinished(self) -> bool:
        return self.status in ("queued", "running")


@dataclass
class QueueModel(LinesModel):
    """The queue. A number stands for a job, each copy of its message, and its songhash in a line."""

    owners: dict[int, str] = field(default_factory=dict)  # of the jobs that messages describe
    models: dict[int, str] = field(default_factory=dict)  # the same
    has: dict[str, set[str]] = field(default_factory=dict)  # the models of workers that say which they have
    offers: set[str] = field(default_factory=set)  # workers whose offers Redis knows
    jobs: dict[int, JobModel] = field(default_factory=dict)
    delayed: set[int] = field(default_factory=set)
    removed: set[int] = field(default_factory=set)  # and not enqueued since
    taken: dict[str, list[int]] = field(default_factory=dict)  # by worker; the last is claimed first
    claims: dict[str, int] = field(default_factory=dict)
    strays: dict[int, int] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)  # workers
    lapsed: list[str] = field(default_factory=list)  # of these, in the order in which their leases expired
    dead: int = 0

    def enqueue(self, number: int, perhaps_lost: bool) -> tuple[bool, str]:
        found = self.jobs.get(number)
        if found and found.is_unfinished:
            hands = [self.taken.get(worker, []) for worker in self.known]
            parked = self.parked.get(self._name(number), [])
            places = [self.line, self.lines.get(found.owner, []), parked, self.delayed, *hands]
            if not perhaps_lost or any(number in place for place in places):
                return False, found.status
            self._requeue(found)
        elif found and (perhaps_lost or found.status != "failed"):
            return False, found.status
        else:
            self.jobs[number] = JobModel(owner=self.owners.get(number, ""), was_enqueued=True)
            self.removed.discard(number)
        self._put(number)
        return True, "queued"

    def renew(self, worker: str) -> None:
        self.known.add(worker)
        self.lapsed = [each for each in self.lapsed if each != worker]

    def pop(self, worker: str) -> None:
        """Move the next message of the list into the worker's, as a worker does that blocked at the list."""
        if self.line:
            self.taken.setdefault(worker, []).insert(0, self.line.pop())

    def take_next(self, worker: str) -> int | None:
        """Move the next message into the worker's list unless it holds one; return the one that it holds."""
        own = self.taken.setdefault(worker, [])
        if not own:
            own += self._next_for(worker)
        return own[-1] if own else None

    def _next_for(self, worker: str) -> list[int]:
        """Remove and return the next message for this worker; park what it may not do."""
        while True:
            self.refill_queue()
            is_moved = bool(self.line) and bool(self._owner(self.line[-1]))
            if self.line:
                self.join_ring("")
            found = self.next_parked(lambda number: self._may_run(worker, number))
            if found and not (self.line and self.has_turn_before_parked(is_moved, found[0])):
                self.end_parked_turn(found[0])
                return self._take_parked(found[1])
            if not self.line:
                return []
            number = self.pop_next(is_moved)
            able = number not in self.jobs or self._may_run(worker, number)
            if number not in self.jobs or self.jobs[number].status != "queued":
                self.refill_queue()
                return [number]
            name = self._name(number)
            if able and name not in self.parked:
                self.refill_queue()
                return [number]
            self._park(number)
            if able:
                return self._take_parked(next(each for each in self.parked[name] if self._may_run(worker, each)))

    def _take_parked(self, number: int) -> list[int]:
        self.take_parked(self._name(number), number)
        self.refill_queue()
        return [number]

    def _name(self, number: int) -> Name:
        return self.models.get(number, ""), self._owner(number)

    def _park(self, number: int, at_head: bool = False) -> None:
        for owner, line in self.lines.items():
            self.lines[owner] = [each for each in line if each != number]
        self.put_parked(self._name(number), number, at_head)

    def _may_run(self, worker: str, number: int) -> bool:
        """Say whether the worker has the job's model, and no other that lives is preferred for its next attempt."""
        model = self.models.get(number, "")
        if worker in self.has and model not in self.has[worker]:
            return False
        return self.jobs[number].avoid != worker or not self._is_offered(model, {worker})

    def _is_offered(self, model: str, but_by: Set[str] = frozenset()) -> bool:
        """Say whether a worker that lives has the model."""
        living = (self.known - set(self.lapsed) - but_by) & self.offers
        return any(model in self.has[worker] for worker in living)

    def _owner(self, number: int) -> str:
        return self.jobs[number].owner if number in self.jobs else ""

    def _put(self, number: int, at_head: bool = False) -> None:
        """Put a queued job into its owner's line; into the list where it has no owner, and any other message."""
        found = self.jobs.get(number)
        if found and found.status == "queued" and at_head and self._name(number) in self.parked:
            self._park(number, at_head)
            return
        if not found or not found.owner or found.status != "queued":
            self.line.insert(len(self.line) if at_head else 0, number)
            return
        line = [each for each in self.lines.get(found.owner, []) if each != number]
        line.insert(0 if at_head else len(line), number)
        self.lines[found.owner] = line
        self.join_ring(found.owner)
        self.refill_queue()

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
        is_unknown = number not in self.jobs and not self._is_offered(self.models.get(number, ""))
        found = self.jobs.setdefault(number, JobModel(owner=self.owners.get(number, "")))
        if not mine and not is_unknown and not self._may_run(worker, number):
            self.taken[worker].remove(number)
            self._requeue(found)
            self._park(number)
            self.refill_queue()
            return 0
        found.avoid = None
        self.claims[worker] = number
        found.status, found.holder = "running", worker
        found.attempt += not mine
        self._leave_line(number)
        self.refill_queue()
        return found.attempt

    def dead_letter(self, worker: str) -> None:
        self.taken[worker].remove(GARBAGE)
        self.dead += 1

    def lease_status(self, number: int, token: str) -> str:
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
            self._finish(number, outcome)
        elif outcome == "released":
            self._requeue(found)
            found.attempt -= 1
            self._put(number, at_head=True)
        elif outcome == "waiting":
            found.attempt, found.waits = found.attempt - 1, found.waits + 1
            self._schedule_retry(number, found.waits, WAITS)
        elif outcome == "retry":
            found.avoid = worker
            self._schedule_retry(number, found.attempt - found.lost, ATTEMPTS)
        elif found.remover:
            found.token = found.holder = None
        else:
            del self.jobs[number]
        return "ok"

    def reclaim(self) -> None:
        """Put all delayed jobs back in line, and what workers hold whose leases expired."""
        self.refill_queue()
        due, self.delayed = sorted(self.delayed, reverse=True), set()
        for number in due:
            self._put(number, at_head=True)
        for worker in self.lapsed:
            self.reap(worker)
        if self.known - set(self.lapsed):
            self.offers &= self.known

    def reap(self, worker: str) -> None:
        for number in self.taken.pop(worker, []):
            found = self.jobs.get(number)
            running = found is not None and found.status == "running" and found.holder == worker
            if self.claims.get(worker) != number and not running:
                self.strays[number] = self.strays.get(number, 0) + 1
                if self.strays[number] < STRAYS:
                    self._put(number, at_head=True)
                else:
                    del self.strays[number]
                    self.dead += 1
                    if found and found.status == "queued":
                        self._finish(number, "failed")
            elif not found or found.status == "queued":
                self._put(number, at_head=True)
            elif running:
                found.lost += 1
                self._schedule_retry(number, found.lost, LOST)
            elif found.holder == worker:
                found.token = found.holder = None

    def deregister(self, worker: str) -> None:
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
        copies = found.is_unfinished and self._withdraw(number)
        if found.status == "queued" and not copies:
            for worker in self.known:
                self.taken[worker] = [each for each in self.taken.get(worker, []) if each != number]
        before, found.status, found.remover = found.status, "cancelled", remover
        self.removed.add(number)
        return before

    def delete_cancelled(self, number: int, remover: str, removed: bool) -> None:
        found = self.jobs.get(number)
        if found and found.status == "cancelled" and found.remover == remover:
            found.remover = None
            if removed and not found.holder:
                del self.jobs[number]

    def restore_result(self, number: int) -> bool:
        found = self.jobs.get(number)
        if not found and number in self.removed:
            return False
        if found and found.status != "failed" and not (found.status == "queued" and self._withdraw(number)):
            return False
        self.jobs.setdefault(number, JobModel())
        self._finish(number, "succeeded")
        return True

    def shares(self) -> dict[str, int]:
        """Return how many jobs that were enqueued for each owner have not ended."""
        return dict(Counter(each.owner for each in self.jobs.values() if each.was_enqueued and each.is_unfinished))

    def _withdraw(self, number: int) -> bool:
        """Remove the job from its line, and each copy from the list and the delayed; say whether there was any."""
        there = number in self.line or number in self.lines.get(self._owner(number), []) or number in self.delayed
        there = there or number in self.parked.get(self._name(number), [])
        self.line = [each for each in self.line if each != number]
        self._leave_line(number)
        self.delayed.discard(number)
        self.refill_queue()
        return there

    def _leave_line(self, number: int) -> None:
        for owner, line in self.lines.items():
            self.lines[owner] = [each for each in line if each != number]
        self.take_parked(self._name(number), number)

    def _schedule_retry(self, number: int, tries: int, most: int) -> None:
        if tries >= most:
            self._finish(number, "failed")
            self.dead += 1
        else:
            self._requeue(self.jobs[number])
            self.delayed.add(number)

    def _requeue(self, found: JobModel) -> None:
        found.status, found.token, found.holder = "queued", None, None

    def _finish(self, number: int, status: str) -> None:
        self._leave_line(number)
        found = self.jobs[number]
        found.status, found.token, found.holder = status, None, None
