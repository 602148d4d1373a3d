"""Hypothesis runs random sequences of the queue's steps and compares Redis with the model after each.

A sequence that fails is shortened and printed as a test. The steps run on a real server; leases expire and delays end
by rules of their own.
"""

from __future__ import annotations

import json
import os
import secrets
from typing import Any

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test

from msas.errors import NotAudio
from msas.queue import Lease
from msas.queue.job_view import job_fields
from tests.queue.machine_checks import MODELS, OWNERS, RedisChecks, job
from tests.queue.model import GARBAGE, QueueModel
from tests.support.in_process import Place

WORKERS = ("worker-0", "worker-1", "worker-2")
HAS = {"worker-0": {"stand-in", "big"}, "worker-1": {"stand-in"}}  # the third takes any job
_GARBAGE = b"no job"
_PROBLEM = NotAudio("It went wrong.")
_OUTCOMES = {"succeeded": "succeed", "failed": "fail", "retry": "retry", "released": "release", "waiting": "wait"}
numbers, names, removers = st.sampled_from(list(OWNERS)), st.sampled_from(WORKERS), st.sampled_from(["me", "another"])


class QueueMachine(RedisChecks, RuleBasedStateMachine):
    """The queue on a server, with the model beside it."""

    leases = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.place = Place().__enter__()
        self.model = QueueModel(owners=OWNERS, models=MODELS, has=HAS)
        self.consumers = {name: self.place.process(name=name).consumer for name in WORKERS}
        self.queue, self.redis = self.place.queue, self.place.redis
        self.numbers = {job(number).message(): number for number in OWNERS} | {_GARBAGE: GARBAGE}
        self.messages = {number: message for message, number in self.numbers.items()}
        self.copied = set[int]()  # jobs of whose messages a foreign producer pushed copies
        self.list_may_be_empty = False  # a worker that blocked at the list took its last message
        self.long_ago = self.queue.now() - 1_000_000

    def teardown(self) -> None:
        self.place.__exit__(None, None, None)

    @rule(number=numbers, perhaps_lost=st.booleans())
    def enqueue(self, number: int, perhaps_lost: bool) -> None:
        created, status = self.queue.enqueue(job(number), perhaps_lost=perhaps_lost)
        assert (created, str(status)) == self.model.enqueue(number, perhaps_lost)

    @rule(number=st.sampled_from([*OWNERS, GARBAGE]))
    def push_foreign_message(self, number: int) -> None:
        """Push a copy of a job's message, or bytes that are no job."""
        self.copied.add(number)
        self.redis.lpush(self.queue.name, self.messages[number])
        self.model.line.insert(0, number)

    @rule(name=names)
    def pop(self, name: str) -> None:
        """Let a worker that blocked at the list pop a message and then pause, die, or lose the reply."""
        self.consumers[name].renew(None)
        self.model.renew(name)
        if not self.model.taken.get(name):
            self.redis.lmove(self.queue.name, self.consumers[name].run_key, "RIGHT", "LEFT")
            self.model.pop(name)
            self.list_may_be_empty = True

    @rule(target=leases, name=names)
    def take_next(self, name: str) -> Any:
        if name in HAS:
            self.consumers[name].advertise_models({"models": [{"name": model} for model in sorted(HAS[name])]})
            self.model.offers.add(name)
        lease = self.consumers[name].claim_next()
        self.model.renew(name)
        self.list_may_be_empty &= bool(self.model.taken.get(name))
        number = self.model.take_next(name)
        if number == GARBAGE:
            self.model.dead_letter(name)
        elif number is not None and (attempt := self.model.claim(name, number)):
            assert lease
            assert (lease.job, lease.attempt) == (job(number), attempt)
            self.model.jobs[number].token = lease.token
            return lease
        assert lease is None
        return multiple()

    @rule(name=names, number=numbers)
    def claim_after_a_pause(self, name: str, number: int) -> None:
        """Claim a message that the worker popped some time ago, and that another may have by now."""
        own = self.model.taken.get(name, [])
        if number not in own or own[-1] == number:
            message, token = self.messages[number], secrets.token_hex(8)
            fields = job_fields(job(number))
            attempt = self.queue.scripts.run(
                "claim", name, message, token, job(number).songhash, self._models(name), *fields
            )
            assert attempt == (self.model.claim(name, number) if number in own else 0)
            if attempt:
                self.model.jobs[number].token = token

    @rule(lease=leases)
    def renew(self, lease: Lease) -> None:
        """Renew any lease that ever was, of a worker that may be lost."""
        assert lease.renew() == self.model.lease_status(self._number(lease), lease.token)
        self.model.renew(lease._consumer.worker)

    @rule(lease=leases, outcome=st.sampled_from(list(_OUTCOMES)))
    def settle(self, lease: Lease, outcome: str) -> None:
        arguments = {"succeeded": [], "released": []}.get(outcome, [_PROBLEM])
        answer = getattr(lease, _OUTCOMES[outcome])(*arguments)
        assert answer == self._settled(lease, outcome)

    @rule(lease=leases)
    def acknowledge_cancel(self, lease: Lease) -> None:
        """Let go of a job that is cancelled or lost, as a worker does once it learns that."""
        if self.model.lease_status(self._number(lease), lease.token) != "ok":
            assert lease.acknowledge_cancel() == self._settled(lease, "cancelled")

    @rule(name=names)
    def expire_lease(self, name: str) -> None:
        if name in self.model.known and name not in self.model.lapsed:
            self.long_ago += 1
            self.redis.zadd(self.place.key("workers"), {name: self.long_ago})
            self.model.lapsed.append(name)
        self.reclaim()

    @rule()
    def reclaim(self) -> None:
        self.place.due()
        self.queue.reclaim()
        self.model.reclaim()

    @rule()
    def outage(self) -> None:
        """Tick after a pause longer than a lease: each worker gets a new lease."""
        for name in self.model.known:
            self.redis.zadd(self.place.key("workers"), {name: self.long_ago})
        self.redis.set(self.place.key("tick"), 1)
        self.queue.reclaim()
        self.model.refill_queue()
        self.model.lapsed = []

    @rule(name=names)
    def deregister(self, name: str) -> None:
        self.consumers[name].deregister()
        self.model.deregister(name)

    @rule(number=numbers, remover=removers)
    def cancel(self, number: int, remover: str) -> None:
        assert self.queue.cancel(job(number).songhash, remover) == self.model.cancel(number, remover)

    @rule(number=numbers, remover=removers, removed=st.booleans())
    def delete_cancelled(self, number: int, remover: str, removed: bool) -> None:
        self.queue.delete_cancelled(job(number).songhash, remover, removed=removed)
        self.model.delete_cancelled(number, remover, removed)

    @rule(number=numbers)
    def restore_result(self, number: int) -> None:
        assert self.queue.restore_result(job(number).songhash, 1) == self.model.restore_result(number)

    @invariant()
    def redis_is_as_the_model_says(self) -> None:
        assert self._list(self.queue.name) == self.model.line
        for owner in OWNERS.values():
            assert not owner or self._line(owner) == self.model.lines.get(owner, [])
        assert self._parked() == self.model.parked
        assert set(self._numbers_of(self.redis.zrange(self.place.key("delayed"), 0, -1))) == self.model.delayed
        for name, consumer in self.consumers.items():
            assert self._list(consumer.run_key) == self.model.taken.get(name, [])
        assert self.redis.llen(self.place.key("dead")) == self.model.dead
        for number in OWNERS:
            assert self._fields(number) == self._expected(number)
        shares = {owner.decode(): int(count) for owner, count in self._hash("jobs").items()}
        assert shares == self.model.shares()

    def _settled(self, lease: Lease, outcome: str) -> str:
        return self.model.settle(self._number(lease), lease.token, lease._consumer.worker, outcome)

    def _models(self, name: str) -> str:
        return json.dumps(sorted(HAS[name])) if name in HAS else ""

    def _number(self, lease: Lease) -> int:
        return self.numbers[lease.job.message()]

    def _expected(self, number: int) -> tuple[str | None, ...]:
        found = self.model.jobs.get(number)
        return (found.status, found.token, found.holder, str(found.attempt)) if found else (None, None, None, None)


class SeededQueueMachine(QueueMachine):
    """The same machine; Hypothesis notes the seed in the class."""


_ALWAYS = settings(deadline=None, database=None, stateful_step_count=40, suppress_health_check=list(HealthCheck))


def test_sequences_of_steps_leave_redis_as_the_model_says() -> None:
    """The sequences are the same in each run."""
    run_state_machine_as_test(QueueMachine, settings=settings(_ALWAYS, derandomize=True, max_examples=60))


@pytest.mark.long
def test_thousands_of_sequences_leave_redis_as_the_model_says() -> None:
    """The sequences depend on the seed, which the environment may give as HYPOTHESIS_SEED."""
    number = int(os.environ.get("HYPOTHESIS_SEED") or secrets.randbits(32))
    print(f"HYPOTHESIS_SEED={number}")

    run_state_machine_as_test(seed(number)(SeededQueueMachine), settings=settings(_ALWAYS, max_examples=3000))
