"""Results of jobs: published from the store where Redis lost them, listed by their end, pruned stem by stem."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from msas.job import Status
from msas.queue import Queue
from tests.queue.fixtures import ERROR, Workers, claim_job, copies, get_job, get_status, job, pop


def unknown(_queue: Queue, _worker: Workers) -> None:
    """Prepare nothing."""


def in_line(queue: Queue, _worker: Workers) -> None:
    queue.enqueue(job())


def delayed(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())
    claim_job(worker()).retry(ERROR)


def failed(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())
    claim_job(worker()).fail(ERROR)


def popped(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())
    pop(queue, worker())


def running(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())
    claim_job(worker())


def succeeded(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())
    claim_job(worker()).succeed()


def cancelled(queue: Queue, _worker: Workers) -> None:
    queue.enqueue(job())
    queue.cancel(job().songhash, "me")


@pytest.mark.parametrize("prepare", [unknown, in_line, delayed, failed])
def test_a_result_of_a_job_that_is_in_no_workers_hands_is_published(
    queue: Queue, worker: Workers, prepare: Callable[[Queue, Workers], None]
) -> None:
    prepare(queue, worker)

    assert queue.restore_result(job().songhash, 1000)

    found = get_job(queue)
    assert found.status is Status.SUCCEEDED
    assert found.error is None
    assert found.ended_at
    assert found.ended_at.timestamp() == 1
    assert copies(queue) == 0


@pytest.mark.parametrize("prepare", [popped, running, succeeded, cancelled])
def test_a_result_of_a_job_in_work_succeeded_or_cancelled_changes_nothing(
    queue: Queue, worker: Workers, prepare: Callable[[Queue, Workers], None]
) -> None:
    prepare(queue, worker)
    before = queue.redis.hgetall(queue.job_key(job().songhash))

    assert not queue.restore_result(job().songhash, 1000)

    assert queue.redis.hgetall(queue.job_key(job().songhash)) == before


def test_jobs_are_listed_as_ended_by_the_time_of_their_end(queue: Queue) -> None:
    queue.restore_result(job(1).songhash, 1000)
    queue.restore_result(job(2).songhash, 2000)

    assert queue.ended_before(1500) == [job(1).songhash]
    assert sorted(queue.all_ended()) == [job(1).songhash, job(2).songhash]


def test_a_job_enqueued_again_is_not_listed_as_ended(queue: Queue, worker: Workers) -> None:
    failed(queue, worker)
    assert list(queue.all_ended()) == [job().songhash]

    queue.enqueue(job())

    assert get_status(queue) is Status.QUEUED
    assert list(queue.all_ended()) == []


def test_a_stem_of_an_unknown_or_unfinished_job_is_not_removed(queue: Queue) -> None:
    queue.restore_result(job().songhash, 1000)
    finished = get_job(queue)
    queue.cancel(job().songhash, "me")
    queue.delete_cancelled(job().songhash, "me")

    assert queue.note_stem_removed(finished) == 0
    assert queue.job(job().songhash) is None

    queue.enqueue(job())
    assert queue.note_stem_removed(finished) == 0
    assert queue.enqueue(job()) == (False, Status.QUEUED)


def test_a_job_that_lost_a_stem_is_enqueued_again(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())
    claim_job(worker()).succeed()

    assert queue.note_stem_removed(get_job(queue)) == 1

    assert queue.enqueue(job()) == (True, Status.QUEUED)


def test_a_job_that_somebody_removed_is_not_published(queue: Queue) -> None:
    queue.restore_result(job().songhash, 1000)
    queue.cancel(job().songhash, "me")
    queue.delete_cancelled(job().songhash, "me")

    assert not queue.restore_result(job().songhash, 1000)


def test_a_job_that_was_sent_again_since_it_was_removed_is_published(queue: Queue, worker: Workers) -> None:
    test_a_job_that_somebody_removed_is_not_published(queue)
    failed(queue, worker)

    assert queue.restore_result(job().songhash, 1000)


def test_a_finished_job_that_is_sent_again_stays_as_long_as_a_new_one(queue: Queue) -> None:
    queue.restore_result(job().songhash, 1000)

    assert queue.enqueue(job()) == (False, Status.SUCCEEDED)

    assert queue.ended_before(2000) == []


def test_a_stem_is_removed_only_from_the_version_that_its_remover_read(queue: Queue) -> None:
    queue.restore_result(job().songhash, 1000)
    first = get_job(queue)

    pruned = [queue.note_stem_removed(first), queue.note_stem_removed(first), queue.note_stem_removed(get_job(queue))]

    assert pruned == [1, -2, 1]


def test_a_changed_report_gives_the_job_another_version(queue: Queue, worker: Workers) -> None:
    queue.restore_result(job().songhash, 1000)
    queue.note_stem_removed(get_job(queue))
    read_meanwhile = get_job(queue)

    queue.note_report_changed(read_meanwhile)

    assert get_job(queue).version != read_meanwhile.version
    queue.enqueue(job())
    claim_job(worker()).succeed()
    separated_again = get_job(queue)
    queue.note_report_changed(read_meanwhile)
    assert get_job(queue) == separated_again, "that was about the one before"
