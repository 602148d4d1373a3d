"""Cancelled jobs: nobody works on them, and they are forgotten once worker and remover have let go of them."""

from __future__ import annotations

import pytest

from msas.job import Status
from msas.queue import Consumer, Queue
from tests.queue.fixtures import ERROR, Workers, claim_job, copies, get_status, job, pop
from tests.support.queue_time import removed_jobs


@pytest.mark.parametrize("place", ["in line", "delayed", "popped", "failed"])
def test_a_job_that_does_not_run_is_cancelled_with_its_message(queue: Queue, worker: Workers, place: str) -> None:
    consumer = enqueued(queue, worker, place)

    before = queue.cancel(job().songhash, "me")

    assert before == ("failed" if place == "failed" else "queued")
    assert get_status(queue) is Status.CANCELLED
    assert copies(queue) == 0
    assert consumer.claim_next() is None


@pytest.mark.parametrize("place", ["in line", "delayed", "popped", "failed"])
def test_a_cancelled_job_is_forgotten_once_its_remover_drops_it(queue: Queue, worker: Workers, place: str) -> None:
    enqueued(queue, worker, place)
    queue.cancel(job().songhash, "me")

    for _ in range(2):
        queue.delete_cancelled(job().songhash, "me")

        assert get_status(queue) is None
        assert not queue.redis.exists(f"{queue.prefix}ended")


def enqueued(queue: Queue, worker: Workers, place: str) -> Consumer:
    """Enqueue a job and bring it to this place; return the worker that did so."""
    queue.enqueue(job())
    consumer = worker()
    if place == "popped":
        pop(queue, consumer)
    elif place != "in line":
        lease = claim_job(consumer)
        lease.retry(ERROR) if place == "delayed" else lease.fail(ERROR)
    return consumer


def test_a_cancelled_job_is_not_enqueued_again_before_it_is_dropped(queue: Queue) -> None:
    queue.enqueue(job())
    queue.cancel(job().songhash, "me")

    assert queue.enqueue(job()) == (False, Status.CANCELLED)

    queue.delete_cancelled(job().songhash, "me")
    assert queue.enqueue(job()) == (True, Status.QUEUED)


def test_a_cancelled_job_is_busy_for_a_second_remover(queue: Queue) -> None:
    queue.enqueue(job())
    queue.cancel(job().songhash, "me")

    assert queue.cancel(job().songhash, "another") == "busy"

    queue.delete_cancelled(job().songhash, "another")
    assert get_status(queue) is Status.CANCELLED


def test_a_remover_that_could_not_remove_everything_leaves_the_job_to_the_next(queue: Queue) -> None:
    queue.enqueue(job())
    queue.cancel(job().songhash, "me")

    queue.delete_cancelled(job().songhash, "me", removed=False)

    assert queue.cancel(job().songhash, "another") == "cancelled"
    queue.delete_cancelled(job().songhash, "another")
    assert get_status(queue) is None


def test_a_job_that_ended_too_late_or_not_at_all_is_kept(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())
    assert queue.cancel(job().songhash, "sweep", queue.now()) == "kept"
    lease = claim_job(worker())
    before = queue.now() - 1
    lease.succeed()

    assert queue.cancel(job().songhash, "sweep", before) == "kept"
    assert get_status(queue) is Status.SUCCEEDED
    assert queue.cancel(job().songhash, "sweep", queue.now()) == "succeeded"


def test_a_removed_job_is_remembered_until_it_is_enqueued_again(queue: Queue) -> None:
    queue.enqueue(job())
    queue.cancel(job().songhash, "me")
    queue.delete_cancelled(job().songhash, "me")
    assert removed_jobs(queue) == {job().songhash}

    queue.enqueue(job())

    assert removed_jobs(queue) == set()


@pytest.mark.parametrize("first", ["worker", "remover"])
def test_a_running_job_that_is_cancelled_is_forgotten_after_worker_and_remover_have_let_go(
    queue: Queue, worker: Workers, first: str
) -> None:
    queue.enqueue(job())
    consumer = worker()
    lease = claim_job(consumer)
    assert queue.cancel(job().songhash, "me") == "running"

    if first == "worker":
        assert lease.acknowledge_cancel() == "ok"
    else:
        queue.delete_cancelled(job().songhash, "me")
    assert get_status(queue) is Status.CANCELLED

    if first == "worker":
        queue.delete_cancelled(job().songhash, "me")
    else:
        assert lease.acknowledge_cancel() == "ok"
    assert get_status(queue) is None
    assert copies(queue) == 0
    assert consumer.claim_next() is None


def test_a_running_job_that_is_cancelled_answers_cancelled_to_its_worker(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())
    lease = claim_job(worker())
    queue.cancel(job().songhash, "me")

    assert lease.renew() == "cancelled"
    assert lease.succeed() == "cancelled"
    assert lease.retry(ERROR) == "cancelled"

    assert get_status(queue) is Status.CANCELLED
    assert queue.enqueue(job()) == (False, Status.CANCELLED)


def test_a_worker_that_claims_its_cancelled_job_again_lets_go_of_it(queue: Queue, worker: Workers) -> None:
    """As a worker does that could not reach the store to remove what it had stored."""
    queue.enqueue(job())
    consumer = worker()
    claim_job(consumer)
    queue.cancel(job().songhash, "me")

    assert consumer.claim_next() is None

    queue.delete_cancelled(job().songhash, "me")
    assert get_status(queue) is None
    assert copies(queue) == 0
