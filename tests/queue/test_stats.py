"""How the queue stands, in numbers: what Prometheus and the doctor ask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from redis import Redis

from msas.queue import Queue, Receiver
from msas.queue.outlook import Numbers, Outlook
from msas.settings import Settings
from tests.queue.fixtures import ERROR, job, taken
from tests.support.processes import eventually


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Leases that outlast a test."""
    return replace(settings, lease_seconds=30)


def test_an_empty_queue_without_workers_is_all_zeros(queue: Queue) -> None:
    assert Outlook(queue).numbers() == Numbers(0, 0, 0, 0, 0.0)


def test_each_job_is_counted_where_it_is(queue: Queue, worker: Callable[[], Receiver]) -> None:
    for number in range(4):
        queue.enqueue(job(number))
    taken(worker())
    taken(worker()).retry(ERROR)
    found = Outlook(queue).numbers()
    assert (found.waiting, found.running, found.delayed, found.workers) == (2, 1, 1, 2)


def test_the_oldest_is_the_one_that_comes_next_and_grows_older_until_it_is_taken(
    queue: Queue, worker: Callable[[], Receiver], redis: Redis
) -> None:
    outlook = Outlook(queue)
    for number, age_ms in enumerate((600_000, 5_000)):
        queue.enqueue(job(number))
        redis.hset(queue.job_key(job(number).songhash), "enqueued_at", queue.now() - age_ms)
    first = outlook.numbers().oldest_seconds
    assert 600 <= first < 610
    eventually(lambda: outlook.numbers().oldest_seconds > first)
    taken(worker())
    assert 5 <= outlook.numbers().oldest_seconds < 15


def test_a_strangers_message_at_the_head_has_no_age(queue: Queue, redis: Redis) -> None:
    queue.enqueue(job(1))
    for message in (f'{{"hash": "{job(2).songhash}", "data": ""}}', "no job at all"):
        redis.rpush(queue.name, message)
        assert Outlook(queue).numbers().oldest_seconds == 0
    assert Outlook(queue).numbers().waiting == 3
