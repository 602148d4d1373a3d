"""Callbacks by the host that they go to: a host that is to get none now costs nothing, and delays no other."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from msas.queue import CallbackQueue, Queue
from msas.queue.callback_record import DeliveryRecord
from tests.queue.fixtures import ERROR, Workers, claim_job, job

HOLD = 60.0  # seconds
MOST_CALLBACKS = 100  # of one song
LOOKED_AT = 100  # callbacks of which a call looks at each before it ends


@pytest.fixture
def callback_queue(queue: Queue) -> CallbackQueue:
    return CallbackQueue(queue)


def end_with_callbacks(queue: Queue, worker: Workers, number: int, *urls: str) -> None:
    """Let this job succeed, with a callback to each of the URLs."""
    for url in urls:
        queue.enqueue(replace(job(number), callback={"url": url, "data": None}))
    claim_job(worker()).succeed()


def end_with_many(queue: Queue, worker: Workers, jobs: int) -> None:
    """Let so many jobs succeed, with 100 callbacks each, all to the host `slow`."""
    for number in range(jobs):
        end_with_callbacks(queue, worker, number, *(f"http://slow/{each}" for each in range(MOST_CALLBACKS)))


def take_hosts(callback_queue: CallbackQueue, most: int, *full: str) -> list[str]:
    return [pending.host for pending in callback_queue.take_due(most, HOLD, full)]


def test_callbacks_to_a_full_host_are_taken_once_it_has_room(
    queue: Queue, worker: Workers, callback_queue: CallbackQueue
) -> None:
    end_with_callbacks(queue, worker, 0, "http://slow/1", "http://slow/2", "http://quick/")

    assert take_hosts(callback_queue, 8, "slow") == ["quick"]
    assert take_hosts(callback_queue, 8, "slow") == []
    assert take_hosts(callback_queue, 8) == ["slow", "slow"]


def test_a_callback_behind_hundreds_to_a_full_host_is_taken_by_the_next_call(
    queue: Queue, worker: Workers, callback_queue: CallbackQueue
) -> None:
    end_with_many(queue, worker, 3)
    end_with_callbacks(queue, worker, 3, "http://quick/")

    assert take_hosts(callback_queue, 1, "slow") == ["quick"]


def test_hosts_get_their_callbacks_in_turn(queue: Queue, worker: Workers, callback_queue: CallbackQueue) -> None:
    for number, host in enumerate(("a", "b", "c")):
        end_with_callbacks(queue, worker, number, f"http://{host}/1", f"http://{host}/2")

    assert take_hosts(callback_queue, 8) == ["a", "b", "c", "a", "b", "c"]


def test_one_call_to_redis_looks_at_a_limited_number_of_callbacks(queue: Queue, worker: Workers) -> None:
    end_with_many(queue, worker, 4)

    more, found = queue.scripts.run("take_callbacks", 1, 60_000, "slow")

    due = queue.redis.zcard(f"{queue.prefix}callbacks:slow")
    assert (more, found, due) == (1, [], LOOKED_AT)


def test_one_call_to_redis_passes_over_a_limited_number_of_callbacks_that_are_gone(
    queue: Queue, worker: Workers, callback_queue: CallbackQueue
) -> None:
    end_with_many(queue, worker, 3)
    assert callback_queue.take_due(1, HOLD, ["slow"]) == []
    for number in range(3):
        queue.cancel(job(number).songhash, "me")

    more, found = queue.scripts.run("take_callbacks", 1, 60_000)

    due = queue.redis.zcard(f"{queue.prefix}callbacks:slow")
    assert (more, found, due) == (1, [], 2 * LOOKED_AT)
    assert callback_queue.take_due(1, HOLD) == []
    assert not queue.redis.exists(f"{queue.prefix}callbacks:slow", f"{queue.prefix}callback_hosts")


def test_a_callback_whose_hold_is_over_waits_for_its_host_and_its_holder_notes_nothing(
    queue: Queue, worker: Workers, callback_queue: CallbackQueue
) -> None:
    end_with_callbacks(queue, worker, 0, "http://slow/")
    [late] = callback_queue.take_due(1, HOLD)
    for member in cast(list[bytes], queue.redis.zrange(f"{queue.prefix}callbacks", 0, -1)):
        queue.redis.zadd(f"{queue.prefix}callbacks", {member: 1})
    assert take_hosts(callback_queue, 1, "slow") == []

    assert not callback_queue.record_delivery(late, DeliveryRecord(attempts=1, next_at=1))

    assert take_hosts(callback_queue, 8) == ["slow"]


def test_a_callback_of_a_failed_job_whose_result_is_found_is_due_once(
    queue: Queue, worker: Workers, callback_queue: CallbackQueue
) -> None:
    queue.enqueue(replace(job(), callback={"url": "http://slow/", "data": None}))
    claim_job(worker()).fail(ERROR)
    assert take_hosts(callback_queue, 1, "slow") == []

    queue.restore_result(job().songhash, queue.now())

    assert take_hosts(callback_queue, 8) == ["slow"]


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://a.test", "a.test"),
        ("HTTPS://A.Test:8443/hook?x=http://b.test/", "a.test"),
        ("http://me:secret@a.test?b.test", "a.test"),
        ("http://[2001:db8::1]:8080/", "[2001:db8::1]"),
        ("ftp", ""),
        (None, ""),
    ],
)
def test_host_of_a_callback_is_that_of_its_url(
    queue: Queue, worker: Workers, callback_queue: CallbackQueue, url: str | None, host: str
) -> None:
    queue.enqueue(replace(job(), callback={"url": url, "data": "http://other.test/"}))

    claim_job(worker()).succeed()

    assert take_hosts(callback_queue, 1) == [host]
