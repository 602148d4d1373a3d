"""Owners' lines: jobs are taken in turn by owner, in order within one; positions and listings follow."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from msas.job import Job, State
from msas.problem import QueueFull, TooMany
from msas.queue import Bounds, Queue, Receiver
from tests.queue.fixtures import ERROR, Workers, pop, taken
from tests.queue.fixtures import job as unowned

WIDE = Bounds(1000, 1000, 1e9)


def job(number: int, owner: str = "") -> Job:
    return replace(unowned(number), owner=owner, seconds=60.0)


def take_all(receiver: Receiver) -> list[Job]:
    """Take all jobs, one after the other, and let each fail."""
    found = []
    while lease := receiver.take():
        found.append(lease.job)
        lease.fail(ERROR)
    return found


def numbers(jobs: list[Job]) -> list[int]:
    return [int(each.songhash, 16) for each in jobs]


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

    assert numbers([each for each in first if not each.owner]) == [10, 11, 12]


def test_an_owners_job_reaches_a_worker_that_waits_at_the_list(queue: Queue, worker: Workers) -> None:
    receiver = worker()
    assert receiver.take() is None

    queue.enqueue(job(0, "alice"))

    assert queue.redis.llen(queue.name) == 1, "a worker that blocks on the list would get it"
    assert taken(receiver).job == job(0, "alice")


def test_the_list_is_never_empty_while_an_owners_job_waits(queue: Queue, worker: Workers) -> None:
    for number in range(3):
        queue.enqueue(job(number, "alice"))
    first, second = worker(), worker()

    for receiver in (first, second, first):
        first_lease = taken(receiver)
        assert queue.redis.llen(queue.name) == bool(queue.listing(0, 10).count)
        first_lease.fail(ERROR)


def test_an_owners_job_is_taken_after_a_worker_that_blocked_took_the_last_message_of_the_list(
    queue: Queue, worker: Workers
) -> None:
    queue.redis.lpush(queue.name, b"no job")
    queue.enqueue(job(0, "alice"))
    receiver = worker()
    queue.redis.lmove(queue.name, receiver.taken, "RIGHT", "LEFT")
    assert receiver.take() is None, "no job"

    assert taken(receiver).job == job(0, "alice")


def test_a_job_that_is_handed_back_is_the_first_of_its_owner_again(queue: Queue, worker: Workers) -> None:
    for number in range(4):
        queue.enqueue(job(number, "alice"))
    receiver = worker()
    taken(receiver).release()

    assert numbers(take_all(receiver))[0] in (0, 1), "at most the job that was moved to the list is before it"


def test_positions_are_the_order_in_which_jobs_are_taken(queue: Queue, worker: Workers) -> None:
    chance = random.Random(7)
    jobs = [job(number, chance.choice(["", "alice", "bob", "carol"])) for number in range(40)]
    for each in jobs:
        queue.enqueue(each)
    receiver = worker()
    taken(receiver).fail(ERROR)  # from now on each owner is in the ring

    statuses = queue.statuses([each.songhash for each in jobs])
    positions = {found.position: songhash for songhash, found in statuses.items() if found and found.position}
    order = [each.songhash for each in take_all(receiver)]

    assert [positions[number + 1] for number in range(len(order))] == order


def test_a_cancelled_job_leaves_its_owners_line(queue: Queue, worker: Workers) -> None:
    for number in range(3):
        queue.enqueue(job(number, "alice"))

    for number in (0, 2):
        queue.cancel(job(number).songhash, "me")

    assert queue.listing(0, 10).waiting == [job(1).songhash]
    assert numbers(take_all(worker())) == [1]


def test_cancelling_an_owners_job_removes_foreign_copies_of_its_message_too(queue: Queue) -> None:
    queue.redis.lpush(queue.name, unowned(0).message())
    queue.enqueue(job(1, "alice"))
    queue.redis.lpush(queue.name, job(1, "alice").message())

    queue.cancel(job(1).songhash, "me")

    assert queue.redis.lrange(queue.name, 0, -1) == [unowned(0).message()]


def test_a_listing_has_pages_and_may_be_of_one_owner(queue: Queue) -> None:
    for number in range(6):
        queue.enqueue(job(number, "alice" if number % 2 else "bob"))

    everything = queue.listing(0, 10)
    pages = [queue.listing(skip, 2).waiting for skip in (0, 2, 4, 6)]
    own = queue.listing(0, 10, "alice")

    assert everything.count == 6
    assert [songhash for page in pages for songhash in page] == everything.waiting
    assert [len(page) for page in pages] == [2, 2, 2, 0]
    assert own.waiting == [job(number).songhash for number in (1, 3, 5)]
    assert own.count == 3


def test_an_owner_may_have_so_many_jobs_and_so_much_cost_unfinished(queue: Queue, worker: Workers) -> None:
    bounds = Bounds(1000, 2, 1e9)
    queue.admit(job(0, "alice"), bounds, 0)
    queue.admit(job(1, "alice"), bounds, 0)
    with pytest.raises(TooMany):
        queue.admit(job(2, "alice"), bounds, 0)
    assert queue.admit(job(3, "bob"), bounds, 0)[0], "another owner has a share of its own"
    assert not queue.has_room("alice", bounds)

    take_all(worker())

    assert queue.admit(job(2, "alice"), bounds, 0)[0]
    assert queue.has_room("alice", bounds)
    with pytest.raises(TooMany):
        queue.admit(job(4, "alice"), Bounds(1000, 1000, 2.5), 0)  # each costs 1.333 minutes


def test_the_queue_may_hold_so_many_jobs_of_all_owners(queue: Queue) -> None:
    bounds = Bounds(3, 1000, 1e9)
    queue.admit(job(0), bounds, 0)
    queue.admit(job(1, "alice"), bounds, 0)
    queue.admit(job(2, "bob"), bounds, 0)

    with pytest.raises(QueueFull):
        queue.admit(job(3), bounds, 0)
    assert queue.admit(job(1, "alice"), bounds, 0) == (False, State.QUEUED, False), "it is there already"


def test_shares_are_given_back_however_a_job_ends(queue: Queue, worker: Workers) -> None:
    receiver = worker()
    for number in range(5):
        queue.admit(job(number, "alice"), WIDE, 0)
    taken(receiver).fail(ERROR)
    taken(receiver).release()
    taken(receiver).retry(ERROR)
    cancelled = taken(receiver)
    queue.cancel(cancelled.job.songhash, "me")
    cancelled.let_go()
    for each in queue.overview()[0] + queue.overview()[2]:
        queue.cancel(each, "me")

    assert queue.redis.hgetall(f"{queue.prefix}jobs") == {}
    assert queue.redis.hgetall(f"{queue.prefix}costs") == {}


def test_a_removal_that_begins_before_the_job_is_enqueued_is_told(queue: Queue) -> None:
    known = queue.known(job(0).songhash, "")
    queue.cancel(job(0).songhash, "me")
    queue.drop(job(0).songhash, "me")

    assert queue.admit(job(0), WIDE, known.removals) == (True, State.QUEUED, True)


def test_jobs_of_owners_are_taken_after_a_broken_message_took_the_worker_that_waited(
    queue: Queue, worker: Workers
) -> None:
    receiver = worker()
    assert receiver.take() is None
    queue.redis.lpush(queue.name, "no job")  # before the worker blocks on the list
    queue.enqueue(job(0, "alice"))
    queue.enqueue(job(1, "alice"))

    pop(queue, receiver)

    assert receiver.take() is None, "the broken message is buried"
    assert queue.redis.llen(queue.name) == 1
    assert numbers(take_all(receiver)) == [0, 1]


def test_an_owners_removal_spares_a_song_that_another_key_sent_meanwhile(queue: Queue) -> None:
    queue.enqueue(job(0, "alice"))
    queue.enqueue(job(0, "bob"))

    assert queue.cancel(job(0).songhash, "me", owner="alice") == "shared"
    assert queue.cancel(job(0).songhash, "me", owner="carol") == ""
    status = queue.status(job(0).songhash)
    assert status
    assert status.state is State.QUEUED
    assert status.owners == {"bob"}
    assert queue.listing(0, 10, "alice").waiting == []


def test_a_refused_job_of_another_owner_does_not_share_the_failed_one(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job(0, "alice"))
    taken(worker()).fail(ERROR)
    queue.enqueue(job(1, "bob"))

    with pytest.raises(TooMany):
        queue.admit(job(0, "bob"), Bounds(1000, 1, 1e9), 0)

    status = queue.status(job(0).songhash)
    assert status
    assert status.owners == {"alice"}
