"""How many jobs may wait, and how many, of what cost, one owner may have unfinished."""

from __future__ import annotations

import pytest

from msas.errors import QueueFull, TooMany
from msas.job import Status
from msas.queue import Bounds, Queue
from tests.queue.fixtures import ERROR, Workers, claim_job
from tests.queue.owned import job, take_all

WIDE = Bounds(1000, 1000, 1e9)


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
    assert queue.admit(job(1, "alice"), bounds, 0) == (False, Status.QUEUED, False), "it is there already"


def test_delayed_jobs_count_as_waiting(queue: Queue, worker: Workers) -> None:
    queue.admit(job(0, "alice"), WIDE, 0)
    claim_job(worker()).retry(ERROR)

    with pytest.raises(QueueFull):
        queue.admit(job(1, "alice"), Bounds(1, 1000, 1e9), 0)


def test_jobs_without_an_owner_have_no_share(queue: Queue) -> None:
    for number in range(3):
        assert queue.admit(job(number), Bounds(1000, 1, 1.5), 0)[0]


def test_a_share_is_given_back_once(queue: Queue, worker: Workers) -> None:
    bounds = Bounds(1000, 2, 3.0)  # each job costs 1.333 minutes
    for number in range(2):
        queue.admit(job(number, "alice"), bounds, 0)
    ended = claim_job(worker())
    ended.fail(ERROR)
    queue.cancel(ended.job.songhash, "me")

    assert queue.admit(job(2, "alice"), bounds, 0)[0], "its cost and its place are free"
    with pytest.raises(TooMany):
        queue.admit(job(3, "alice"), Bounds(1000, 2, 1e9), 0)


def test_shares_are_given_back_however_a_job_ends(queue: Queue, worker: Workers) -> None:
    consumer = worker()
    for number in range(5):
        queue.admit(job(number, "alice"), WIDE, 0)
    claim_job(consumer).fail(ERROR)
    claim_job(consumer).release()
    claim_job(consumer).retry(ERROR)
    cancelled = claim_job(consumer)
    queue.cancel(cancelled.job.songhash, "me")
    cancelled.acknowledge_cancel()
    for each in queue.list_all_jobs()[0] + queue.list_all_jobs()[2]:
        queue.cancel(each, "me")

    assert queue.redis.hgetall(f"{queue.prefix}jobs") == {}
    assert queue.redis.hgetall(f"{queue.prefix}costs") == {}


def test_a_removal_that_begins_before_the_job_is_enqueued_is_told(queue: Queue) -> None:
    known = queue.look_up(job(0).songhash, "")
    queue.cancel(job(0).songhash, "me")
    queue.delete_cancelled(job(0).songhash, "me")

    assert queue.admit(job(0), WIDE, known.removals) == (True, Status.QUEUED, True)
