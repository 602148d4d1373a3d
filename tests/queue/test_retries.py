"""Retries: failed attempts and lost workers are counted apart, and another worker is preferred for the next attempt."""

from __future__ import annotations

from msas.job import Status
from msas.queue import Queue
from tests.queue.fixtures import ERROR, Workers, claim_job, get_status, job
from tests.support.queue_time import put_delayed_in_line, reclaim


def lose(queue: Queue, worker: Workers) -> None:
    """Let a worker take the job and be lost, as one that is preempted."""
    lost = worker()
    claim_job(lost)
    reclaim(queue, lost.worker)


def retry(queue: Queue, worker: Workers) -> None:
    claim_job(worker()).retry(ERROR)
    put_delayed_in_line(queue)


def test_three_preemptions_do_not_end_a_job(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())

    for _ in range(3):
        lose(queue, worker)

    lease = claim_job(worker())
    assert lease.attempt == 4, "attempts count claims"


def test_a_job_fails_after_three_errors_however_many_workers_were_lost_between(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())
    for step in (lose, retry, lose, lose, retry, lose):
        step(queue, worker)
    assert get_status(queue) is Status.QUEUED

    retry(queue, worker)

    assert get_status(queue) is Status.FAILED


def test_errors_do_not_count_as_lost_workers(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())
    for step in (retry, lose, lose, lose, lose, retry, lose):
        step(queue, worker)
    assert get_status(queue) is Status.QUEUED

    lose(queue, worker)

    assert get_status(queue) is Status.FAILED
