"""Workers with different models on one queue: each job reaches only workers that can do it, in its turn."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from msas.job import Job, Status
from msas.options import Options
from msas.queue import Consumer, Queue
from msas.queue.stats import QueueStats
from tests.queue.fixtures import ERROR, Workers, claim_job
from tests.support.queue_time import expire_leases, put_delayed_in_line, reclaim


def job(number: int, model: str = "lite", owner: str = "") -> Job:
    return Job(f"{number:056x}", Options(model), f"song {number}.mp3", owner=owner)


def offer(*models: str, default: str = "") -> dict[str, Any]:
    return {"models": [{"name": model} for model in models], "default": default or models[0]}


def having(worker: Workers, *models: str) -> Consumer:
    """Return a living worker that has these models."""
    consumer = worker()
    consumer.advertise_models(offer(*models))
    consumer.renew(None)
    return consumer


def names(queue: Queue) -> list[str]:
    return [model["name"] for model in (queue.advertised_models() or {})["models"]]


def get_status(queue: Queue, each: Job) -> Status | None:
    found = queue.job(each.songhash)
    return found.status if found else None


# Offers


def test_living_workers_offer_together_what_each_of_them_has(queue: Queue, worker: Workers) -> None:
    having(worker, "lite")
    having(worker, "big", "lite")

    assert sorted(names(queue)) == ["big", "lite"]


def test_the_offer_of_a_worker_whose_lease_ended_is_withdrawn(queue: Queue, worker: Workers) -> None:
    having(worker, "lite")
    gone = having(worker, "big")

    expire_leases(queue, gone.worker)

    assert names(queue) == ["lite"]


def test_what_was_offered_last_stays_while_no_worker_lives(queue: Queue, worker: Workers) -> None:
    gone = having(worker, "big")

    expire_leases(queue, gone.worker)

    assert names(queue) == ["big"]


def test_the_default_is_that_of_most_workers(queue: Queue, worker: Workers) -> None:
    for models in (("lite", "big"), ("big", "lite"), ("big", "lite")):
        having(worker, *models)

    assert (queue.advertised_models() or {})["default"] == "big"


# Who gets which job


def test_a_worker_gets_no_job_for_a_model_that_it_lacks(queue: Queue, worker: Workers) -> None:
    small, able = having(worker, "lite"), having(worker, "big")
    queue.enqueue(job(0, "big"))

    assert [small.claim_next() for _ in range(3)] == [None, None, None]

    lease = claim_job(able)
    assert (lease.job.songhash, lease.attempt) == (job(0).songhash, 1)


def test_jobs_behind_one_for_another_model_are_taken_meanwhile(queue: Queue, worker: Workers) -> None:
    small = having(worker, "lite")
    for number, model in enumerate(("big", "big", "lite")):
        queue.enqueue(job(number, model))

    assert claim_job(small).job.songhash == job(2).songhash
    assert [get_status(queue, job(number)) for number in (0, 1)] == [Status.QUEUED, Status.QUEUED]


def test_parked_jobs_are_taken_in_their_order_before_later_ones(queue: Queue, worker: Workers) -> None:
    small, able = having(worker, "lite"), having(worker, "big")
    for number in range(3):
        queue.enqueue(job(number, "big"))
    assert small.claim_next() is None
    queue.enqueue(job(3, "big"))

    order = []
    for _ in range(4):
        lease = claim_job(able)
        order.append(lease.job.songhash)
        lease.fail(ERROR)

    assert order == [job(number).songhash for number in range(4)]


def test_parked_jobs_of_one_owner_leave_turns_to_others(queue: Queue, worker: Workers) -> None:
    small, able = having(worker, "lite"), having(worker, "big", "lite")
    for number in range(3):
        queue.enqueue(job(number, "big", owner="alice"))
    assert small.claim_next() is None
    for number in range(3, 6):
        queue.enqueue(job(number, "lite", owner="bob"))

    owners = []
    for _ in range(4):
        lease = claim_job(able)
        owners.append(lease.job.owner)
        lease.fail(ERROR)

    assert sorted(owners[:2]) == sorted(owners[2:]) == ["alice", "bob"]


def test_a_worker_that_came_later_gets_what_was_parked(queue: Queue, worker: Workers) -> None:
    small = having(worker, "lite")
    queue.enqueue(job(0, "big"))
    assert small.claim_next() is None
    assert QueueStats(queue).count_jobs().unoffered == 1

    able = having(worker, "big")

    assert QueueStats(queue).count_jobs().unoffered == 0
    assert claim_job(able).job.songhash == job(0).songhash


def test_a_parked_job_is_listed_counted_and_can_be_cancelled(queue: Queue, worker: Workers) -> None:
    small = having(worker, "lite")
    queue.enqueue(job(0, "big", owner="alice"))
    assert small.claim_next() is None

    listed = queue.list_jobs(0, 10, "alice").waiting
    position = (status := queue.job(job(0).songhash)) and status.queue_position
    cancelled = queue.cancel(job(0).songhash, "me")

    assert (listed, position, cancelled) == ([job(0).songhash], 1, "queued")
    assert having(worker, "big").claim_next() is None


def test_a_parked_job_that_is_sent_again_is_not_queued_twice(queue: Queue, worker: Workers) -> None:
    small, able = having(worker, "lite"), having(worker, "big")
    queue.enqueue(job(0, "big"))
    assert small.claim_next() is None

    assert queue.enqueue(job(0, "big"))[0] is False

    claim_job(able).fail(ERROR)
    assert able.claim_next() is None


def test_a_foreign_job_for_a_model_that_nobody_has_is_given_to_fail(queue: Queue, worker: Workers) -> None:
    small = having(worker, "lite")
    queue.redis.lpush(queue.name, job(0, "someone-else").message())

    assert claim_job(small).job.songhash == job(0).songhash


def test_a_foreign_job_for_another_workers_model_reaches_that_worker(queue: Queue, worker: Workers) -> None:
    small, able = having(worker, "lite"), having(worker, "big")
    queue.redis.lpush(queue.name, job(0, "big").message())

    assert small.claim_next() is None
    assert claim_job(able).job.songhash == job(0).songhash


def test_a_job_of_a_lost_worker_reaches_only_one_that_has_its_model(queue: Queue, worker: Workers) -> None:
    small, lost = having(worker, "lite"), having(worker, "big")
    queue.enqueue(job(0, "big"))
    claim_job(lost)
    reclaim(queue, lost.worker)
    put_delayed_in_line(queue)

    assert small.claim_next() is None
    assert claim_job(having(worker, "big")).attempt == 2


# Retries


def test_another_worker_is_preferred_for_the_next_attempt(queue: Queue, worker: Workers) -> None:
    sick, well = having(worker, "lite"), having(worker, "lite")
    queue.enqueue(job(0))
    claim_job(sick).retry(ERROR)
    put_delayed_in_line(queue)

    assert sick.claim_next() is None

    assert claim_job(well).attempt == 2


@pytest.mark.parametrize("other", [None, "big"])
def test_the_same_worker_tries_again_where_no_other_can(queue: Queue, worker: Workers, other: str | None) -> None:
    sick = having(worker, "lite")
    if other:
        having(worker, other)
    queue.enqueue(job(0))
    claim_job(sick).retry(ERROR)
    put_delayed_in_line(queue)

    assert claim_job(sick).attempt == 2


def test_the_same_worker_tries_again_once_the_other_is_gone(queue: Queue, worker: Workers) -> None:
    sick, well = having(worker, "lite"), having(worker, "lite")
    queue.enqueue(job(0))
    claim_job(sick).retry(ERROR)
    put_delayed_in_line(queue)
    assert sick.claim_next() is None

    expire_leases(queue, well.worker)

    assert claim_job(sick).attempt == 2


# A rolling upgrade: workers of the release before, which offer with SET, and take with BLMOVE and their own scripts.


def test_the_offer_of_workers_of_the_release_before_counts_while_they_live(queue: Queue, worker: Workers) -> None:
    before = worker()
    queue.redis.set(f"{queue.prefix}offer", json.dumps(offer("old")))
    before.renew(None)
    having(worker, "new")

    assert sorted(names(queue)) == ["new", "old"]


def test_jobs_for_a_model_that_the_release_before_lacks_are_kept_from_its_workers(
    queue: Queue, worker: Workers
) -> None:
    before = worker()
    queue.redis.set(f"{queue.prefix}offer", json.dumps(offer("old")))
    before.renew(None)
    able = having(worker, "new")

    queue.enqueue(replace(job(0, "new"), owner="alice"))
    queue.enqueue(job(1, "old"))

    in_list = queue.redis.lrange(queue.name, 0, -1)
    assert in_list == [job(1, "old").message()]
    assert claim_job(able).job.songhash == job(0).songhash
