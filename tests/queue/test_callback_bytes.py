"""The bytes of callbacks that wait, counted for each owner: exact after whatever adds or drops a callback."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from msas.job import Job
from msas.queue import CallbackQueue, Queue
from msas.queue.callback_record import DeliveryRecord, DeliveryState, callback_id, callback_json
from tests.queue.fixtures import ERROR, Workers, claim_job, job

OVERHEAD = 300  # bytes of a callback beside its JSON
CALLBACK = {"url": "https://example.org/", "data": "x"}
BYTES = len(callback_json(CALLBACK)) + OVERHEAD


def with_callback(owner: str = "alice", data: str = "x") -> Job:
    return replace(job(), callback={**CALLBACK, "data": data}, owner=owner)


def count(queue: Queue, owner: str = "alice") -> int:
    return int(queue.redis.hget(f"{queue.prefix}callback_bytes", owner) or 0)


def test_callbacks_of_one_song_count_for_those_who_sent_them(queue: Queue) -> None:
    queue.enqueue(with_callback())
    queue.enqueue(with_callback("bob", "yyy"))
    queue.enqueue(with_callback("", "zz"))

    assert [count(queue, owner) for owner in ("alice", "bob", "", "eve")] == [BYTES, BYTES + 2, BYTES + 1, 0]


def test_a_callback_that_is_sent_again_while_it_waits_counts_once(queue: Queue, worker: Workers) -> None:
    queue.enqueue(with_callback())
    queue.enqueue(with_callback())
    queue.enqueue(with_callback("bob"))

    lease = claim_job(worker())
    lease.retry(ERROR)

    assert (count(queue), count(queue, "bob")) == (BYTES, 0)


def test_a_callback_that_is_tried_again_counts_on(queue: Queue, worker: Workers) -> None:
    queue.enqueue(with_callback())
    claim_job(worker()).succeed()
    [pending] = CallbackQueue(queue).take_due(1, 60)

    CallbackQueue(queue).record_delivery(pending, DeliveryRecord(attempts=1, next_at=1))

    assert count(queue) == BYTES


def test_a_callback_that_is_sent_again_after_its_delivery_counts_again(queue: Queue, worker: Workers) -> None:
    end_delivery(queue, worker)

    queue.enqueue(with_callback())

    assert count(queue) == BYTES


def test_a_job_enqueued_anew_counts_its_new_callback_alone(queue: Queue, worker: Workers) -> None:
    queue.enqueue(with_callback())
    queue.enqueue(with_callback("bob"))
    claim_job(worker()).fail(ERROR)

    queue.enqueue(with_callback("eve"))

    assert [count(queue, owner) for owner in ("alice", "bob", "eve")] == [0, 0, BYTES]


def test_a_foreign_message_counts_its_callback_for_its_owner(queue: Queue, worker: Workers) -> None:
    content = {"hash": job().songhash, "callback": CALLBACK, "owner": "alice"}
    queue.redis.lpush(queue.name, json.dumps(content))

    claim_job(worker())

    assert count(queue) == BYTES


def end_delivery(queue: Queue, worker: Workers) -> None:
    queue.enqueue(with_callback())
    claim_job(worker()).succeed()
    [pending] = CallbackQueue(queue).take_due(1, 60)
    CallbackQueue(queue).record_delivery(pending, DeliveryRecord(DeliveryState.DELIVERED, attempts=1))


def remove_while_queued(queue: Queue, _worker: Workers) -> None:
    queue.enqueue(with_callback())
    queue.cancel(job().songhash, "me")
    queue.delete_cancelled(job().songhash, "me")


def remove_while_running(queue: Queue, worker: Workers) -> None:
    queue.enqueue(with_callback())
    lease = claim_job(worker())
    queue.cancel(job().songhash, "me")
    queue.delete_cancelled(job().songhash, "me")
    assert lease.acknowledge_cancel() == "ok"


def remove_after_its_end(queue: Queue, worker: Workers) -> None:
    queue.enqueue(with_callback())
    queue.enqueue(with_callback(data="another"))
    claim_job(worker()).succeed()
    [pending] = CallbackQueue(queue).take_due(1, 60)
    queue.cancel(job().songhash, "me")
    queue.delete_cancelled(job().songhash, "me")
    CallbackQueue(queue).record_delivery(pending, DeliveryRecord(DeliveryState.DELIVERED, attempts=1))


@pytest.mark.parametrize("ending", [end_delivery, remove_while_queued, remove_while_running, remove_after_its_end])
def test_an_owner_whose_callbacks_are_over_has_no_counter(
    queue: Queue, worker: Workers, ending: Callable[[Queue, Workers], None]
) -> None:
    ending(queue, worker)

    assert not queue.redis.exists(f"{queue.prefix}callback_bytes")


def test_a_callback_of_an_earlier_version_which_counted_none_is_not_subtracted(queue: Queue, worker: Workers) -> None:
    queue.enqueue(with_callback())
    queue.enqueue(with_callback(data="another"))
    queue.redis.hdel(queue.job_key(job().songhash), f"owner:{callback_id(CALLBACK)}")
    before = count(queue)
    claim_job(worker()).succeed()

    for pending in CallbackQueue(queue).take_due(8, 60):
        if pending.callback == CALLBACK:
            CallbackQueue(queue).record_delivery(pending, DeliveryRecord(DeliveryState.DELIVERED, attempts=1))

    assert count(queue) == before
