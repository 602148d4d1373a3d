"""A job's way through the queue: enqueue, claim, renew, settle; each step may be sent twice."""

from __future__ import annotations

import json

import pytest

from msas.errors import NotAudio, QueueUnavailable
from msas.job import Stage, Status
from msas.queue import Queue, connect
from msas.settings import Settings
from tests.queue.fixtures import ERROR, STEMS, Workers, claim_job, copies, get_job, get_status, job, pop, report
from tests.support.queue_time import put_delayed_in_line


def test_jobs_are_taken_in_the_order_in_which_they_were_enqueued(queue: Queue, worker: Workers) -> None:
    for number in range(5):
        assert queue.enqueue(job(number)) == (True, Status.QUEUED)
    assert queue.list_all_jobs() == ([job(number).songhash for number in range(5)], [], [])
    consumer = worker()

    order = []
    for _ in range(5):
        lease = claim_job(consumer)
        order.append(lease.job)
        lease.succeed()

    assert order == [job(number) for number in range(5)]


def test_positions_in_the_line_count_from_one_and_move_up(queue: Queue, worker: Workers) -> None:
    for number in range(3):
        queue.enqueue(job(number))
    assert [get_job(queue, number).queue_position for number in range(3)] == [1, 2, 3]

    claim_job(worker())

    assert [get_job(queue, number).queue_position for number in range(3)] == [None, 1, 2]


def test_a_song_that_is_queued_running_or_succeeded_is_not_enqueued_again(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())

    assert queue.enqueue(job()) == (False, Status.QUEUED)
    lease = claim_job(worker())
    assert queue.enqueue(job()) == (False, Status.RUNNING)
    lease.succeed()
    assert queue.enqueue(job()) == (False, Status.SUCCEEDED)

    assert copies(queue) == 0


def test_a_failed_job_that_is_enqueued_again_starts_with_attempt_1(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())
    claim_job(worker()).fail(NotAudio("No audio."))
    assert get_status(queue) is Status.FAILED
    assert get_job(queue).error == {"code": "not_audio", "message": "No audio."}

    assert queue.enqueue(job()) == (True, Status.QUEUED)

    assert claim_job(worker()).attempt == 1


def test_a_failed_job_that_succeeds_later_has_no_error(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())
    claim_job(worker()).retry(ERROR)
    put_delayed_in_line(queue)
    assert get_job(queue).error == {"code": ERROR.code, "message": ERROR.detail}

    claim_job(worker()).succeed()

    assert get_job(queue).error is None


def test_a_job_that_succeeded_leaves_the_report_to_the_store(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())

    claim_job(worker()).succeed()

    found = get_job(queue)
    assert (found.status, found.progress, found.report, found.model) == (Status.SUCCEEDED, 1, None, None)
    told = found.with_report(report())
    assert told.tracks == STEMS
    assert (told.report, told.model, told.name) == (report(), "lite", job().name)


def test_an_unfinished_job_has_exactly_one_copy_of_its_message_and_an_ended_one_none(
    queue: Queue, worker: Workers
) -> None:
    queue.enqueue(job())
    assert copies(queue) == 1

    lease = claim_job(worker())
    assert queue.list_all_jobs() == ([], [job().songhash], [])
    assert copies(queue) == 1

    lease.release()
    assert copies(queue) == 1

    claim_job(worker()).succeed()
    assert copies(queue) == 0
    assert not queue.redis.hexists(queue.job_key(job().songhash), "message")


def test_a_message_that_was_popped_but_not_claimed_is_claimed_on_the_next_turn(queue: Queue, worker: Workers) -> None:
    """As after a BLMOVE whose reply was lost."""
    queue.enqueue(job(1))
    queue.enqueue(job(2))
    consumer = worker()
    pop(queue, consumer)

    lease = claim_job(consumer)

    assert lease.job == job(1)
    assert copies(queue, 1) == 1


def test_a_claim_repeated_by_the_same_worker_counts_as_one_attempt(queue: Queue, worker: Workers) -> None:
    """As after a claim whose reply was lost."""
    queue.enqueue(job())
    consumer = worker()
    claim_job(consumer)

    again = claim_job(consumer)

    assert again.attempt == 1
    assert copies(queue) == 1
    assert again.succeed() == "ok"
    assert get_status(queue) is Status.SUCCEEDED


def test_a_claim_sent_twice_is_answered_the_same_and_keeps_what_the_job_reported(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())
    consumer = worker()
    lease = claim_job(consumer)
    lease.stage, lease.progress = Stage.SEPARATING, 0.5
    lease.renew()

    answer = queue.scripts.run("claim", consumer.worker, job().message(), lease.token, job().songhash, "")

    assert answer == 1
    assert get_job(queue).progress == 0.5


def test_a_settled_job_answers_a_late_settle_with_ok_and_does_not_change(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())
    lease = claim_job(worker())
    assert lease.succeed() == "ok"

    assert lease.succeed() == "ok"
    assert lease.fail(NotAudio("Too late.")) == "ok"

    assert get_status(queue) is Status.SUCCEEDED
    assert get_job(queue).error is None


def test_a_settle_with_an_unknown_outcome_is_an_error_and_changes_nothing(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())
    lease = claim_job(worker())
    before = queue.redis.hgetall(queue.job_key(job().songhash))

    with pytest.raises(QueueUnavailable, match="ResponseError"):
        lease._settle("forgotten")

    assert queue.redis.hgetall(queue.job_key(job().songhash)) == before
    assert copies(queue) == 1
    assert lease.succeed() == "ok"


def test_a_renewal_publishes_stage_and_progress(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())
    consumer = worker()
    lease = claim_job(consumer)
    lease.stage, lease.progress = Stage.SEPARATING, 0.25

    assert consumer.renew(lease) == "ok"

    found = get_job(queue)
    assert found.status is Status.RUNNING
    assert found.stage == "separating"
    assert found.progress == 0.25


def test_a_renewal_extends_the_lease_by_its_whole_length(queue: Queue, worker: Workers, settings: Settings) -> None:
    consumer = worker()

    before = queue.now()
    consumer.renew(None)
    after = queue.now()

    ends = queue.redis.zscore(f"{queue.prefix}workers", consumer.worker)
    assert ends
    assert before + settings.lease_seconds * 1000 <= ends <= after + settings.lease_seconds * 1000


def test_a_released_job_is_first_in_line_and_keeps_its_attempt(queue: Queue, worker: Workers) -> None:
    for number in range(3):
        queue.enqueue(job(number))
    consumer = worker()

    assert claim_job(consumer).release() == "ok"

    assert queue.list_all_jobs()[0] == [job(number).songhash for number in range(3)]
    again = claim_job(consumer)
    assert again.job == job(0)
    assert again.attempt == 1


@pytest.mark.parametrize(("attempt", "wait_ms"), [(1, 10_000), (2, 20_000)])
def test_a_retried_job_is_due_after_a_wait_that_doubles(
    queue: Queue, worker: Workers, attempt: int, wait_ms: int
) -> None:
    queue.enqueue(job())
    queue.redis.hset(queue.job_key(job().songhash), "attempt", attempt - 1)
    lease = claim_job(worker())

    before = queue.now()
    assert lease.retry(ERROR) == "ok"
    after = queue.now()

    due = queue.redis.zscore(f"{queue.prefix}delayed", job().message())
    assert due
    assert before + wait_ms <= due <= after + wait_ms
    assert get_status(queue) is Status.QUEUED
    assert queue.list_all_jobs() == ([], [], [job().songhash])


def test_a_retry_sent_twice_delays_the_job_once(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())
    lease = claim_job(worker())
    assert lease.retry(ERROR) == "ok"
    due = queue.redis.zscore(f"{queue.prefix}delayed", job().message())

    assert lease.retry(ERROR) == "ok"

    assert queue.redis.zscore(f"{queue.prefix}delayed", job().message()) == due
    assert copies(queue) == 1


def test_a_delayed_job_stays_delayed_until_it_is_due(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())
    claim_job(worker()).retry(ERROR)

    queue.reclaim()
    assert queue.list_all_jobs() == ([], [], [job().songhash])

    put_delayed_in_line(queue)
    assert queue.list_all_jobs() == ([job().songhash], [], [])


def test_a_third_retry_fails_the_job_and_makes_a_dead_letter(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())
    consumer = worker()

    for attempt in (1, 2, 3):
        put_delayed_in_line(queue)
        lease = claim_job(consumer)
        assert lease.attempt == attempt
        assert lease.retry(ERROR) == "ok"

    assert get_status(queue) is Status.FAILED
    assert get_job(queue).error == {"code": ERROR.code, "message": ERROR.detail}
    [dead] = queue.redis.lrange(f"{queue.prefix}dead", 0, -1)
    assert json.loads(dead)["hash"] == job().songhash
    assert copies(queue) == 0


def test_a_job_that_waits_for_the_store_keeps_its_attempt(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())
    consumer = worker()

    for _ in range(4):
        lease = claim_job(consumer)
        assert lease.attempt == 1
        assert lease.postpone(ERROR) == "ok"
        assert consumer.claim_next() is None
        put_delayed_in_line(queue)


def test_a_job_that_waited_often_is_due_after_at_most_five_minutes(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())
    queue.redis.hset(queue.job_key(job().songhash), "waits", 20)
    lease = claim_job(worker())

    before = queue.now()
    assert lease.postpone(ERROR) == "ok"
    after = queue.now()

    due = queue.redis.zscore(f"{queue.prefix}delayed", job().message())
    assert due
    assert before + 300_000 <= due <= after + 300_000


def test_a_job_that_waits_fifty_times_fails(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())
    queue.redis.hset(queue.job_key(job().songhash), "waits", 48)
    claim_job(worker()).postpone(ERROR)
    put_delayed_in_line(queue)
    assert get_status(queue) is Status.QUEUED

    claim_job(worker()).postpone(ERROR)

    assert get_status(queue) is Status.FAILED
    assert copies(queue) == 0


def test_a_leaving_worker_returns_the_message_that_it_popped(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())
    consumer = worker()
    pop(queue, consumer)

    consumer.deregister()

    assert queue.list_all_jobs() == ([job().songhash], [], [])
    assert not queue.redis.exists(f"{queue.prefix}workers")


def test_a_job_whose_message_is_lost_is_enqueued_again_where_the_caller_says_so(queue: Queue, worker: Workers) -> None:
    """As after a foreign client popped from the queue."""
    queue.enqueue(job())
    queue.redis.rpop(queue.name)

    assert queue.enqueue(job()) == (False, Status.QUEUED)
    assert queue.enqueue(job(), perhaps_lost=True) == (True, Status.QUEUED)

    assert claim_job(worker()).job == job()


def test_a_job_whose_message_is_in_line_taken_or_delayed_is_not_enqueued_again(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())

    assert queue.enqueue(job(), perhaps_lost=True) == (False, Status.QUEUED)
    lease = claim_job(worker())
    assert queue.enqueue(job(), perhaps_lost=True) == (False, Status.RUNNING)
    lease.retry(ERROR)
    assert queue.enqueue(job(), perhaps_lost=True) == (False, Status.QUEUED)

    assert copies(queue) == 1


def test_workers_on_one_machine_have_different_names(worker: Workers) -> None:
    assert worker().worker != worker().worker


def test_each_call_to_an_unreachable_redis_raises_queue_unavailable() -> None:
    settings = Settings(redis_host="127.0.0.1", redis_port=1)
    queue = Queue(connect(settings, retries=0), settings)

    for call in (
        lambda: queue.enqueue(job()),
        lambda: queue.job("0"),
        queue.list_all_jobs,
        queue.now,
        queue.advertised_models,
    ):
        with pytest.raises(QueueUnavailable, match=r"^Redis does not answer .*\.$"):
            call()
