"""Statistics of the queue for Prometheus, the doctor and the estimate of waiting times."""

from __future__ import annotations

import pytest

from msas.queue import Queue
from msas.queue.stats import QueueCounts, QueueStats
from tests.queue.fixtures import ERROR, Workers, claim_job, job
from tests.support.queue_time import expire_leases

SECOND = 1000  # ms


def test_an_empty_queue_without_workers_is_all_zeros(queue: Queue) -> None:
    assert QueueStats(queue).count_jobs() == QueueCounts(0, 0, 0, 0, 0.0)


def test_jobs_are_counted_as_waiting_running_or_delayed(queue: Queue, worker: Workers) -> None:
    for number in range(4):
        queue.enqueue(job(number))
    claim_job(worker())
    claim_job(worker()).retry(ERROR)

    numbers = QueueStats(queue).count_jobs()

    assert numbers.waiting == 2
    assert numbers.running == 1
    assert numbers.delayed == 1
    assert numbers.workers == 2
    numbers = QueueStats(queue).count_jobs()
    assert numbers.waiting + numbers.delayed == 3


def test_a_worker_whose_lease_expired_is_not_counted(queue: Queue, worker: Workers) -> None:
    alive, lost = worker(), worker()
    alive.renew(None)
    lost.renew(None)
    expire_leases(queue, lost.worker)

    assert QueueStats(queue).count_jobs().workers == 1


def test_the_oldest_job_is_the_one_that_will_be_taken_next(queue: Queue, worker: Workers) -> None:
    enqueued_at = []
    for number, age in enumerate((600 * SECOND, 5 * SECOND)):
        queue.enqueue(job(number))
        enqueued_at.append(queue.now() - age)
        queue.redis.hset(queue.job_key(job(number).songhash), "enqueued_at", enqueued_at[number])

    for since in enqueued_at:
        before = queue.now()
        oldest = QueueStats(queue).count_jobs().oldest_seconds * SECOND
        after = queue.now()

        assert before - since <= oldest <= after - since
        claim_job(worker())


@pytest.mark.parametrize(
    "message", [f'{{"hash": "{job(2).songhash}", "data": ""}}', "no job at all"], ids=["foreign-job", "no-job"]
)
def test_a_message_that_was_not_enqueued_has_no_age_at_the_head_of_the_line(queue: Queue, message: str) -> None:
    queue.enqueue(job(1))
    queue.redis.rpush(queue.name, message)

    numbers = QueueStats(queue).count_jobs()

    assert numbers.oldest_seconds == 0
    assert numbers.waiting == 2


def test_recent_jobs_are_those_that_ended_last_with_the_newest_first(queue: Queue, worker: Workers) -> None:
    for number in range(3):
        queue.enqueue(job(number))
        lease = claim_job(worker())
        lease.fail(ERROR) if number == 1 else lease.succeed()
        queue.redis.zadd(f"{queue.prefix}ended", {job(number).songhash: number})

    assert QueueStats(queue).recently_ended() == [job(number).songhash for number in (2, 1, 0)]


def test_a_field_is_none_for_a_job_that_does_not_have_it(queue: Queue) -> None:
    queue.enqueue(job(1))

    assert queue.read_field([job(1).songhash, job(2).songhash], "name") == [job(1).name, None]
