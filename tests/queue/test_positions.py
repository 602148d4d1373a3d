"""Positions of jobs and listings follow the turns of the owners."""

from __future__ import annotations

import random

from msas.queue import Queue
from tests.queue.fixtures import ERROR, Workers, claim_job
from tests.queue.fixtures import job as unowned
from tests.queue.owned import job, positions, take_all


def test_positions_are_the_order_in_which_jobs_are_taken(queue: Queue, worker: Workers) -> None:
    chance = random.Random(7)
    jobs = [job(number, chance.choice(["", "alice", "bob", "carol"])) for number in range(40)]
    for each in jobs:
        queue.enqueue(each)
    consumer = worker()
    claim_job(consumer).fail(ERROR)  # from now on each owner is in the ring

    statuses = queue.jobs([each.songhash for each in jobs])
    positions = {
        found.queue_position: songhash for songhash, found in statuses.items() if found and found.queue_position
    }
    order = [each.songhash for each in take_all(consumer)]

    assert [positions[number + 1] for number in range(len(order))] == order


def test_positions_count_foreign_messages_in_the_list(queue: Queue) -> None:
    queue.enqueue(job(0))
    queue.redis.lpush(queue.name, unowned(10).message())
    queue.enqueue(job(1))

    assert positions(queue, 0, 1) == [1, 3]


def test_a_job_that_was_moved_to_the_list_has_the_first_position(queue: Queue) -> None:
    for number in range(2):
        queue.enqueue(job(number, "alice"))

    assert positions(queue, 0, 1) == [1, 2]


def test_a_listing_has_pages_and_may_be_of_one_owner(queue: Queue) -> None:
    for number in range(6):
        queue.enqueue(job(number, "alice" if number % 2 else "bob"))

    everything = queue.list_jobs(0, 10)
    pages = [queue.list_jobs(skip, 2).waiting for skip in (0, 2, 4, 6)]
    own = queue.list_jobs(0, 10, "alice")

    assert everything.count == 6
    assert [songhash for page in pages for songhash in page] == everything.waiting
    assert [len(page) for page in pages] == [2, 2, 2, 0]
    assert own.waiting == [job(number).songhash for number in (1, 3, 5)]
    assert own.count == 3
