"""Owners' lines: jobs are taken in turn by owner, in order within one."""

from __future__ import annotations

from collections import Counter

import pytest

from msas.errors import TooMany
from msas.job import Status
from msas.queue import Bounds, Queue
from tests.queue.fixtures import ERROR, Workers, claim_job, pop
from tests.queue.fixtures import job as unowned
from tests.queue.owned import job, numbers, take_all


def test_ten_modest_owners_are_served_beside_a_greedy_one(queue: Queue, worker: Workers) -> None:
    for number in range(200):
        queue.enqueue(job(number, "greedy"))
    for number in range(10):
        queue.enqueue(job(1000 + number, f"modest-{number}"))

    first = take_all(worker())[:22]

    assert Counter(each.owner for each in first)["greedy"] <= 12
    assert {each.owner for each in first} == {"greedy", *(f"modest-{number}" for number in range(10))}


def test_jobs_of_one_owner_are_taken_in_the_order_in_which_they_came(queue: Queue, worker: Workers) -> None:
    for number in range(30):
        queue.enqueue(job(number, ("alice", "bob", "")[number % 3]))

    found = take_all(worker())

    for owner in ("alice", "bob", ""):
        own = numbers([each for each in found if each.owner == owner])
        assert own == sorted(own), owner
    assert len(found) == 30


def test_jobs_without_an_owner_and_foreign_messages_take_turns_with_owners(queue: Queue, worker: Workers) -> None:
    for number in range(10):
        queue.enqueue(job(number, "alice"))
    for number in range(10, 13):
        queue.redis.lpush(queue.name, unowned(number).message())

    first = take_all(worker())[:7]

    assert numbers(first) == [0, 1, 10, 2, 11, 3, 12]


def test_an_owners_job_reaches_a_worker_that_waits_at_the_list(queue: Queue, worker: Workers) -> None:
    consumer = worker()
    assert consumer.claim_next() is None

    queue.enqueue(job(0, "alice"))

    assert queue.redis.llen(queue.name) == 1, "a worker that blocks on the list would get it"
    assert claim_job(consumer).job == job(0, "alice")


def test_the_list_is_never_empty_while_an_owners_job_waits(queue: Queue, worker: Workers) -> None:
    for number in range(3):
        queue.enqueue(job(number, "alice"))
    first, second = worker(), worker()

    for consumer in (first, second, first):
        first_lease = claim_job(consumer)
        assert queue.redis.llen(queue.name) == bool(queue.list_jobs(0, 10).count)
        first_lease.fail(ERROR)


def test_an_owners_job_is_taken_after_a_worker_that_blocked_took_the_last_message_of_the_list(
    queue: Queue, worker: Workers
) -> None:
    queue.redis.lpush(queue.name, b"no job")
    queue.enqueue(job(0, "alice"))
    consumer = worker()
    queue.redis.lmove(queue.name, consumer.run_key, "RIGHT", "LEFT")
    assert consumer.claim_next() is None, "no job"

    assert claim_job(consumer).job == job(0, "alice")


def test_the_list_is_not_empty_after_a_message_that_is_no_job_was_taken(queue: Queue, worker: Workers) -> None:
    queue.redis.lpush(queue.name, b"no job")
    for number in range(2):
        queue.enqueue(job(number, "alice"))
    consumer = worker()
    claim_job(consumer).fail(ERROR)

    assert consumer.claim_next() is None, "no job"

    assert queue.redis.llen(queue.name) == 1


def test_a_worker_that_blocked_moves_the_next_owners_job_to_the_list_as_it_claims(
    queue: Queue, worker: Workers
) -> None:
    for number in range(2):
        queue.enqueue(job(number, "alice"))
    consumer = worker()
    queue.redis.lmove(queue.name, consumer.run_key, "RIGHT", "LEFT")

    assert claim_job(consumer).job == job(0, "alice")

    assert queue.redis.llen(queue.name) == 1


def test_the_order_of_the_list_loses_a_job_once_it_is_claimed_or_has_failed(queue: Queue, worker: Workers) -> None:
    line = f"{queue.prefix}line:"
    queue.enqueue(job(0))
    consumer = worker()
    queue.redis.lmove(queue.name, consumer.run_key, "RIGHT", "LEFT")
    lease = claim_job(consumer)
    assert queue.redis.zcard(line) == 0, "it was claimed"

    lease.release()
    for _ in range(10):
        lost = worker()
        queue.redis.lmove(queue.name, lost.run_key, "RIGHT", "LEFT")
        lost.deregister()

    assert queue.statuses([job(0).songhash]) == {job(0).songhash: Status.FAILED}
    assert queue.redis.zcard(line) == 0


def test_an_owner_that_comes_back_waits_for_the_owners_that_wait(queue: Queue, worker: Workers) -> None:
    consumer = worker()
    for number, owner in enumerate(("carol", "alice")):
        queue.enqueue(job(number, owner))
    first = claim_job(consumer)  # now the list has alice's job
    for number, owner in enumerate(("bob", "alice"), 2):
        queue.enqueue(job(number, owner))

    first.fail(ERROR)

    assert numbers(take_all(consumer)) == [1, 2, 3]


def test_an_owner_that_sends_one_more_song_keeps_the_turn(queue: Queue, worker: Workers) -> None:
    for number, owner in enumerate(("carol", "alice", "bob", "alice")):
        queue.enqueue(job(number, owner))

    assert numbers(take_all(worker())) == [0, 1, 2, 3]


def test_a_job_in_its_owners_line_is_not_lost(queue: Queue) -> None:
    for number in range(2):
        queue.enqueue(job(number, "alice"))

    for number in range(2):
        assert queue.enqueue(job(number, "alice"), perhaps_lost=True) == (False, Status.QUEUED)


def test_a_job_that_is_handed_back_is_the_first_of_its_owner_again(queue: Queue, worker: Workers) -> None:
    for number in range(4):
        queue.enqueue(job(number, "alice"))
    consumer = worker()
    claim_job(consumer).release()

    assert numbers(take_all(consumer)) == [1, 0, 2, 3], "only the job that was moved to the list is before it"


def test_a_cancelled_job_leaves_its_owners_line(queue: Queue, worker: Workers) -> None:
    for number in range(3):
        queue.enqueue(job(number, "alice"))

    for number in (0, 2):
        queue.cancel(job(number).songhash, "me")

    assert queue.list_jobs(0, 10).waiting == [job(1).songhash]
    assert numbers(take_all(worker())) == [1]


def test_cancelling_an_owners_job_removes_foreign_copies_of_its_message_too(queue: Queue) -> None:
    queue.redis.lpush(queue.name, unowned(0).message())
    queue.enqueue(job(1, "alice"))
    queue.redis.lpush(queue.name, job(1, "alice").message())

    queue.cancel(job(1).songhash, "me")

    assert queue.redis.lrange(queue.name, 0, -1) == [unowned(0).message()]


def test_jobs_of_owners_are_taken_after_a_broken_message_took_the_worker_that_waited(
    queue: Queue, worker: Workers
) -> None:
    consumer = worker()
    assert consumer.claim_next() is None
    queue.redis.lpush(queue.name, "no job")  # before the worker blocks on the list
    queue.enqueue(job(0, "alice"))
    queue.enqueue(job(1, "alice"))

    pop(queue, consumer)

    assert consumer.claim_next() is None, "the broken message is buried"
    assert queue.redis.llen(queue.name) == 1
    assert numbers(take_all(consumer)) == [0, 1]


def test_an_owners_removal_spares_a_song_that_another_key_sent_meanwhile(queue: Queue) -> None:
    queue.enqueue(job(0, "alice"))
    queue.enqueue(job(0, "bob"))

    assert queue.cancel(job(0).songhash, "me", owner="alice") == "shared"
    assert queue.cancel(job(0).songhash, "me", owner="carol") == ""
    found = queue.job(job(0).songhash)
    assert found
    assert found.status is Status.QUEUED
    assert found.owners == {"bob"}
    assert queue.list_jobs(0, 10, "alice").waiting == []


def test_a_refused_job_of_another_owner_does_not_share_the_failed_one(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job(0, "alice"))
    claim_job(worker()).fail(ERROR)
    queue.enqueue(job(1, "bob"))

    with pytest.raises(TooMany):
        queue.admit(job(0, "bob"), Bounds(1000, 1, 1e9), 0)

    status = queue.job(job(0).songhash)
    assert status
    assert status.owners == {"alice"}
