"""What is promised of every job at every moment, whatever processes do and whatever becomes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from tests.queue.actors import Actor
from tests.support.in_process import Place, job

_LOOK = """
local prefix, seen, jobs = '{' .. KEYS[1] .. '}:', {}, {}
for i = 1, #ARGV, 2 do
  seen[i] = redis.call('HMGET', prefix .. 'job:' .. ARGV[i], 'status', 'token', 'worker', 'attempt')
  jobs[ARGV[i + 1]] = seen[i]
  seen[i + 1] = false
end
local function lie(where, messages)
  for _, message in ipairs(messages) do if jobs[message] then table.insert(jobs[message], where) end end
end
lie('line', redis.call('LRANGE', KEYS[1], 0, -1))
lie('delayed', redis.call('ZRANGE', prefix .. 'delayed', 0, -1))
for _, key in ipairs(redis.call('KEYS', prefix .. 'run:*')) do
  lie(string.sub(key, #prefix + 5), redis.call('LRANGE', key, 0, -1))
end
return seen
"""


@dataclass(frozen=True)
class Seen:
    """A job as it is at one moment: what Redis keeps of it, and where its messages lie."""

    status: str | None
    token: str | None
    worker: str | None
    attempt: int
    places: tuple[str, ...]  # 'line', 'delayed' or the name of the worker that has taken it


def look(place: Place, jobs: Sequence[str | bytes]) -> list[Seen]:
    """Return how each job is right now; `jobs` gives the songhash and the message of each."""
    found = cast(Any, place.redis.eval(_LOOK, 1, place.queue.name, *jobs))
    seen = []
    for values in found[::2]:
        status, token, worker, attempt, *places = (value and value.decode() for value in values)
        seen.append(Seen(status, token, worker, int(attempt or 0), tuple(places)))
    return seen


# What may become of a job's state in one step; None is a job that is not known.
_NEXT: dict[str | None, set[str | None]] = {
    None: {"queued", "running", "succeeded", "cancelled"},
    "queued": {"running", "succeeded", "cancelled"},
    "running": {"queued", "succeeded", "failed", "cancelled"},
    "succeeded": {"cancelled"},
    "failed": {"cancelled", "queued"},  # a song that failed may be sent again
    "cancelled": {None},
}


class Broken(AssertionError):
    """A promise was broken; the text says which, and after which steps."""


class Promises:
    """Looks at the jobs 0 to `count` - 1 after each step, and raises Broken where a promise is."""

    def __init__(self, place: Place, count: int) -> None:
        self.place, self.count = place, count
        self.removed: set[int] = set()  # jobs that somebody began to remove: nothing more is promised of them
        self.known: set[int] = set()  # jobs that Redis has to know, for it never forgot anything since
        self.seen: list[Seen] | None = None
        self.forgot = False
        self._asked = [x for number in range(count) for x in (job(number).songhash, job(number).message())]

    def forget(self) -> None:
        """Take note that Redis is not what it was before."""
        self.seen, self.known, self.forgot = None, set(), True

    def check(self, mover: Actor | None) -> None:
        """All that holds at any moment, after a step of `mover`."""
        before, self.seen = self.seen, look(self.place, self._asked)
        for number, now in enumerate(self.seen):
            self._check_not_lost(number, now)
            if now.status == "running" and now.worker not in now.places and not self.forgot:
                raise Broken(f"job {number} runs under a worker that has not got its message: {now}")
            if before:
                self._check_step(number, before[number], now, mover)
        self._check_fence(mover)

    def _check_not_lost(self, number: int, now: Seen) -> None:
        songhash = job(number).songhash
        if now.status in ("queued", "running"):
            self.known.add(number)
        if not self._promised(number) or now.status in ("failed", "cancelled"):
            return
        stored = f"{songhash}.json" in self.place.memory.keys(songhash)
        if now.status == "succeeded":
            held = self.place.store.published(songhash) is not None
        elif now.status is None:
            held = number not in self.known and (stored or self.place.store.published(songhash) is not None)
        else:
            held = bool(now.places)
        if not held:
            raise Broken(f"job {number} is lost: {now}, {self.place.memory.keys(songhash)}")

    def _promised(self, number: int) -> bool:
        """Say whether the job was accepted, and nobody began to remove it."""
        return self.place.memory.puts[f"{job(number).songhash}.json"] > 0 and number not in self.removed

    def _check_step(self, number: int, before: Seen, now: Seen, mover: Actor | None) -> None:
        if self.forgot and number in self.removed:
            return  # its worker lets go of it, whether Redis still knows that it was cancelled or not
        if now.status != before.status and now.status not in _NEXT[before.status]:
            raise Broken(f"job {number} went from {before} to {now}")
        if (before.status, now.status) == ("running", "succeeded") and (not mover or mover.name != before.worker):
            raise Broken(f"job {number} was ended by one that does not hold it: from {before} to {now}")
        held = before.status == "running" and before.worker in before.places
        if held and now.status == "running" and now.worker != before.worker:
            raise Broken(f"job {number} was taken out of a worker's hands: from {before} to {now}")
        if now.attempt > 3 and not self.forgot:
            raise Broken(f"job {number} was tried too often: {now}")

    def _check_fence(self, mover: Actor | None) -> None:
        """Who was just told by a beat that the job is its own presented the job's token."""
        lease = mover.process.heartbeat._lease if mover else None
        if mover and lease and mover.made == "beat" and lease.held == "ok":
            [now] = look(self.place, [lease.job.songhash, b""])
            if (now.status, now.token) != ("running", lease.token):
                raise Broken(f"{mover.name} was told that the job is its own, but it is not: {now}")

    def over(self) -> bool:
        """Say whether each job came to its end, and nothing is left of it where it should not be."""
        failed, seen = set(), cast(list[Seen], self.seen)
        for number, now in enumerate(seen):
            if now.places:
                return False
            if now.status == "failed":
                failed.add(job(number).songhash)
            elif now.status != "succeeded" and (now.status or self._promised(number)):
                return False
        return set(self.place.messages()) <= failed
