"""What must be so in Redis after each step of the machine, whatever the model says: it could have the same mistake."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis.stateful import invariant
from redis import Redis

from msas.cost import cost_minutes
from msas.job import Job
from msas.options import Options
from msas.queue import Consumer, Queue
from tests.queue.model import GARBAGE
from tests.support.in_process import Place
from tests.support.in_process import job as unowned

OWNERS = {0: "", 1: "", 2: "alice", 3: "bob", 4: "alice"}
MODELS = {0: "stand-in", 1: "big", 2: "big", 3: "stand-in", 4: "stand-in"}


def job(number: int) -> Job:
    return replace(unowned(number), owner=OWNERS[number], options=Options(MODELS[number], format="wav"))


class RedisChecks:
    """Part of a machine. `copied` has the jobs of whose messages a foreign producer pushed copies."""

    place: Place
    queue: Queue
    redis: Redis
    consumers: dict[str, Consumer]
    numbers: dict[bytes, int]
    copied: set[int]
    list_may_be_empty: bool  # a worker that blocked at the list took its last message

    @invariant()
    def each_unfinished_job_is_in_one_place(self) -> None:
        lists = {name: self._list(consumer.run_key) for name, consumer in self.consumers.items()}
        places = Counter(
            [
                *self._list(self.queue.name),
                *(number for owner in set(OWNERS.values()) if owner for number in self._line(owner)),
                *self._numbers_of(self.redis.zrange(self.place.key("delayed"), 0, -1)),
                *(number for line in self._parked().values() for number in line),
                *(number for held in lists.values() for number in held),
            ]
        )
        for number in OWNERS:
            status, _, holder, _ = self._fields(number)
            if status == "running":
                assert number in lists[cast(str, holder)]
            if status in ("queued", "running"):
                assert places[number] == 1 or (number in self.copied and places[number] > 1)

    @invariant()
    def the_list_is_not_empty_while_an_owners_job_waits(self) -> None:
        lines = [number for owner in set(OWNERS.values()) if owner for number in self._line(owner)]
        assert self._list(self.queue.name) or not lines or self.list_may_be_empty

    @invariant()
    def the_line_of_jobs_without_an_owner_repeats_the_list(self) -> None:
        """Check that it has them in the same order, and else only what a worker that blocked has not claimed yet."""
        in_list = [number for number in reversed(self._list(self.queue.name)) if number not in self.copied]
        line = [number for number in self._line("") if number not in self.copied]
        unclaimed = {number for consumer in self.consumers.values() for number in self._list(consumer.run_key)}
        assert [number for number in line if number not in unclaimed] == [
            number for number in in_list if number != GARBAGE and not OWNERS[number]
        ]
        assert all(self._fields(number)[0] == "queued" for number in line)

    @invariant()
    def costs_are_those_of_the_jobs_that_are_charged(self) -> None:
        charged: Counter[str] = Counter()
        for number, owner in OWNERS.items():
            if cost := self.redis.hget(self.queue.job_key(job(number).songhash), "charged"):
                assert self._fields(number)[0] in ("queued", "running")
                assert float(cast(bytes, cost)) == cost_minutes(job(number).options, None)
                charged[owner] += 1
        costs = {owner.decode(): float(cost) for owner, cost in self._hash("costs").items()}
        assert costs == {
            owner: pytest.approx(count * cost_minutes(job(0).options, None)) for owner, count in charged.items()
        }

    def _numbers_of(self, messages: Any) -> list[int]:
        return [self.numbers[message] for message in messages]

    def _list(self, key: str) -> list[int]:
        return self._numbers_of(self.redis.lrange(key, 0, -1))

    def _line(self, owner: str, kind: str = "line") -> list[int]:
        """Return the jobs of an owner's line, the next first."""
        return [
            int(songhash, 16)
            for songhash in cast(list[bytes], self.redis.zrange(self.place.key(f"{kind}:{owner}"), 0, -1))
        ]

    def _parked(self) -> dict[tuple[str, str], list[int]]:
        """Return the parked jobs by model and owner, the next first."""
        names = cast(list[bytes], self.redis.zrange(self.place.key("parked"), 0, -1))
        keys = {cast(tuple[str, str], tuple(name.decode().split("\n"))): name.decode() for name in names}
        lines = {key: self._line(name, "parked") for key, name in keys.items()}
        assert all(lines.values()), "a parked line has a turn, but no job"
        assert len(cast(list[bytes], self.redis.keys(self.place.key("parked:*")))) == len(lines)
        return lines

    def _hash(self, name: str) -> dict[bytes, bytes]:
        return cast(dict[bytes, bytes], self.redis.hgetall(self.place.key(name)))

    def _fields(self, number: int) -> tuple[str | None, ...]:
        found = self.redis.hmget(self.queue.job_key(job(number).songhash), "status", "token", "worker", "attempt")
        status, token, holder, attempt = (value.decode() if isinstance(value, bytes) else None for value in found)
        return status, token, holder, attempt or "0" if status else None
