"""Callbacks in the queue: due when their job ends, held by one process at a time, noted by its holder alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest

from msas.errors import TooMany
from msas.job import Job, Status
from msas.queue import CallbackQueue, Lease, Queue
from msas.queue.callback_record import DeliveryRecord, DeliveryState
from tests.queue.fixtures import ERROR, Workers, claim_job, get_job, job

HOLD = 60.0  # seconds
MOST_CALLBACKS, MOST_BYTES = 100, 256 * 1024  # of one song
ENDINGS: dict[Status, Callable[[Lease], object]] = {
    Status.SUCCEEDED: lambda lease: lease.succeed(),
    Status.FAILED: lambda lease: lease.fail(ERROR),
}


@pytest.fixture
def callback_queue(queue: Queue) -> CallbackQueue:
    return CallbackQueue(queue)


def with_callback(name: str = "first") -> Job:
    return replace(job(), callback={"url": f"https://example.org/{name}", "data": name})


def make_due(queue: Queue) -> None:
    """End the holds and waits of all callbacks."""
    for member in cast(list[bytes], queue.redis.zrange(f"{queue.prefix}callbacks", 0, -1)):
        queue.redis.zadd(f"{queue.prefix}callbacks", {member: 1})


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_callback_is_due_when_its_job_has_ended_and_not_before(
    queue: Queue, worker: Workers, callback_queue: CallbackQueue, ending: Status
) -> None:
    queue.enqueue(with_callback())
    lease = claim_job(worker())
    assert callback_queue.take_due(8, HOLD) == []

    ENDINGS[ending](lease)

    [pending] = callback_queue.take_due(8, HOLD)
    assert pending.songhash == job().songhash
    assert pending.status is ending
    assert pending.callback == with_callback().callback
    assert pending.delivery == DeliveryRecord()


def test_a_callback_is_taken_by_one_process_until_its_hold_is_over(
    queue: Queue, worker: Workers, callback_queue: CallbackQueue
) -> None:
    queue.enqueue(with_callback())
    claim_job(worker()).succeed()
    [first] = callback_queue.take_due(8, HOLD)
    assert callback_queue.take_due(8, HOLD) == []

    make_due(queue)

    [second] = callback_queue.take_due(8, HOLD)
    assert second.webhook_id == first.webhook_id


def test_a_delivered_callback_is_not_due_again(queue: Queue, worker: Workers, callback_queue: CallbackQueue) -> None:
    queue.enqueue(with_callback())
    claim_job(worker()).succeed()
    [pending] = callback_queue.take_due(8, HOLD)

    assert callback_queue.record_delivery(
        pending, DeliveryRecord(DeliveryState.DELIVERED, attempts=1, delivered_at=callback_queue.now())
    )

    make_due(queue)
    assert callback_queue.take_due(8, HOLD) == []
    callback = get_job(queue).callback
    assert callback
    assert callback["state"] == "delivered"


def test_a_callback_to_be_tried_again_is_due_at_its_next_try(
    queue: Queue, worker: Workers, callback_queue: CallbackQueue
) -> None:
    queue.enqueue(with_callback())
    claim_job(worker()).succeed()
    [pending] = callback_queue.take_due(8, HOLD)
    later = DeliveryRecord(attempts=1, http_status=500, next_at=callback_queue.now() + 60_000)

    assert callback_queue.record_delivery(pending, later)

    assert callback_queue.take_due(8, HOLD) == []
    make_due(queue)
    [again] = callback_queue.take_due(8, HOLD)
    assert again.delivery == later
    assert again.webhook_id == pending.webhook_id


def test_a_delivery_noted_twice_is_noted_once(queue: Queue, worker: Workers, callback_queue: CallbackQueue) -> None:
    queue.enqueue(with_callback())
    claim_job(worker()).succeed()
    [pending] = callback_queue.take_due(8, HOLD)

    assert callback_queue.record_delivery(pending, DeliveryRecord(attempts=1, next_at=1))
    assert not callback_queue.record_delivery(pending, DeliveryRecord(attempts=2, next_at=1))

    [again] = callback_queue.take_due(8, HOLD)
    assert again.delivery.attempts == 1


def test_a_process_whose_hold_is_over_notes_nothing(
    queue: Queue, worker: Workers, callback_queue: CallbackQueue
) -> None:
    queue.enqueue(with_callback())
    claim_job(worker()).succeed()
    [late] = callback_queue.take_due(8, HOLD)
    make_due(queue)
    [pending] = callback_queue.take_due(8, 2 * HOLD)

    assert not callback_queue.record_delivery(late, DeliveryRecord(DeliveryState.GIVEN_UP, attempts=7))

    assert callback_queue.record_delivery(pending, DeliveryRecord(DeliveryState.DELIVERED, attempts=1))


def test_a_callback_of_a_job_in_line_once_more_is_not_due(
    queue: Queue, worker: Workers, callback_queue: CallbackQueue
) -> None:
    queue.enqueue(with_callback())
    claim_job(worker()).fail(ERROR)
    [held] = callback_queue.take_due(8, HOLD)
    queue.enqueue(with_callback())

    assert not callback_queue.record_delivery(held, DeliveryRecord(attempts=1, next_at=1))

    make_due(queue)
    assert callback_queue.take_due(8, HOLD) == []


def test_a_job_enqueued_anew_has_another_webhook_id(
    queue: Queue, worker: Workers, callback_queue: CallbackQueue
) -> None:
    queue.enqueue(with_callback())
    queue.redis.hset(queue.job_key(job().songhash), "enqueued_at", 1)
    claim_job(worker()).fail(ERROR)
    [first] = callback_queue.take_due(8, HOLD)
    queue.enqueue(with_callback())

    claim_job(worker()).succeed()

    [second] = callback_queue.take_due(8, HOLD)
    assert second.webhook_id != first.webhook_id


def test_each_different_callback_of_a_job_is_taken_once(
    queue: Queue, worker: Workers, callback_queue: CallbackQueue
) -> None:
    for name in ("first", "second", "first"):
        queue.enqueue(with_callback(name))

    claim_job(worker()).succeed()

    assert sorted(pending.callback["data"] for pending in callback_queue.take_due(8, HOLD)) == ["first", "second"]


def test_a_callback_added_to_an_ended_job_is_due_at_once(
    queue: Queue, worker: Workers, callback_queue: CallbackQueue
) -> None:
    queue.enqueue(job())
    claim_job(worker()).succeed()

    queue.enqueue(with_callback())

    assert [pending.callback["data"] for pending in callback_queue.take_due(8, HOLD)] == ["first"]


def test_a_delivered_callback_that_is_added_again_is_due_again(
    queue: Queue, worker: Workers, callback_queue: CallbackQueue
) -> None:
    queue.enqueue(with_callback())
    claim_job(worker()).succeed()
    [pending] = callback_queue.take_due(8, HOLD)
    callback_queue.record_delivery(pending, DeliveryRecord(DeliveryState.DELIVERED, attempts=1))

    queue.enqueue(with_callback())

    [again] = callback_queue.take_due(8, HOLD)
    assert again.delivery == DeliveryRecord()


def test_no_more_callbacks_are_taken_than_asked_for(
    queue: Queue, worker: Workers, callback_queue: CallbackQueue
) -> None:
    for name in ("first", "second", "third"):
        queue.enqueue(with_callback(name))
    claim_job(worker()).succeed()

    taken_first = callback_queue.take_due(2, HOLD)

    assert len(taken_first) == 2
    assert len(callback_queue.take_due(8, HOLD)) == 1


def test_a_cancelled_jobs_callbacks_are_not_due(queue: Queue, worker: Workers, callback_queue: CallbackQueue) -> None:
    queue.enqueue(with_callback())
    claim_job(worker()).succeed()

    queue.cancel(job().songhash, "me")

    assert callback_queue.take_due(8, HOLD) == []


def test_a_callback_beyond_the_most_that_wait_is_refused(queue: Queue) -> None:
    for number in range(MOST_CALLBACKS):
        queue.enqueue(with_callback(str(number)))

    with pytest.raises(TooMany):
        queue.enqueue(with_callback("one more"))

    assert queue.enqueue(with_callback("0")) == (False, Status.QUEUED)


def test_a_callback_that_waits_for_its_next_try_keeps_its_delivery_when_it_is_added_again(
    queue: Queue, worker: Workers, callback_queue: CallbackQueue
) -> None:
    queue.enqueue(with_callback())
    claim_job(worker()).succeed()
    [pending] = callback_queue.take_due(8, HOLD)
    callback_queue.record_delivery(pending, DeliveryRecord(attempts=3, next_at=1))

    queue.enqueue(with_callback())

    [again] = callback_queue.take_due(8, HOLD)
    assert again.delivery.attempts == 3


def test_a_callback_that_waits_takes_no_more_room_when_it_is_added_again(queue: Queue) -> None:
    large = replace(job(), callback={"url": "https://example.org", "data": "x" * (MOST_BYTES // 2 + 1)})
    queue.enqueue(large)

    assert queue.enqueue(large) == (False, Status.QUEUED)


def test_callbacks_beyond_the_most_bytes_that_wait_are_refused(queue: Queue) -> None:
    half = "x" * (MOST_BYTES // 2 + 1)
    queue.enqueue(replace(job(), callback={"url": "https://example.org/first", "data": half}))

    with pytest.raises(TooMany):
        queue.enqueue(replace(job(), callback={"url": "https://example.org/second", "data": half}))
