"""A Redis that uses all of its maxmemory: what frees memory or keeps jobs alive works on, and new work is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from msas.errors import RedisFull
from msas.job import Status
from msas.queue import Leader, Lease, Queue
from msas.queue.callback_record import DeliveryRecord
from msas.queue.callbacks import CallbackQueue
from tests.queue.fixtures import ERROR, Workers, claim_job, get_job, get_status, job

CALLBACK = {"url": "http://hook.test/", "data": 1}


@pytest.fixture
def full(queue: Queue) -> Iterator[Callable[[], None]]:
    """Return a function that leaves Redis no memory."""

    def fill() -> None:
        queue.redis.config_set("maxmemory", 1)

    yield fill
    queue.redis.config_set("maxmemory", 0)


@pytest.mark.parametrize(
    ("settle", "becomes"),
    [
        (lambda lease: lease.succeed(), Status.SUCCEEDED),
        (lambda lease: lease.fail(ERROR), Status.FAILED),
        (lambda lease: lease.retry(ERROR), Status.QUEUED),
        (lambda lease: lease.postpone(ERROR), Status.QUEUED),
        (lambda lease: lease.release(), Status.QUEUED),
    ],
)
def test_a_worker_takes_renews_and_settles_a_job_while_redis_is_full(
    queue: Queue, worker: Workers, full: Callable[[], None], settle: Callable[[Lease], str], becomes: Status
) -> None:
    queue.enqueue(job())
    full()

    lease = claim_job(worker())
    held = lease.renew()
    settled = settle(lease)

    assert (held, settled) == ("ok", "ok")
    assert get_status(queue) is becomes


def test_an_idle_worker_waits_while_redis_is_full(worker: Workers, full: Callable[[], None]) -> None:
    full()
    consumer = worker()

    consumer.advertise_models({"models": [{"name": "lite"}], "default": "lite"})
    assert consumer.renew(None) == "ok"
    assert consumer.claim_next() is None


def test_a_job_of_a_lost_worker_is_queued_again_while_redis_is_full(
    queue: Queue, worker: Workers, full: Callable[[], None]
) -> None:
    queue.enqueue(job())
    lost = worker()
    claim_job(lost)
    full()

    lost.deregister()

    assert get_status(queue) is Status.QUEUED


def test_jobs_are_removed_pruned_published_and_called_back_while_redis_is_full(
    queue: Queue, worker: Workers, full: Callable[[], None]
) -> None:
    queue.enqueue(replace(job(), callback=CALLBACK))
    claim_job(worker()).succeed()
    queue.enqueue(job(1))
    full()

    pruned = queue.note_stem_removed(get_job(queue))
    [pending] = CallbackQueue(queue).take_due(1, 60)
    noted = CallbackQueue(queue).record_delivery(pending, DeliveryRecord())
    published = [queue.restore_result(job(number).songhash, 1) for number in (1, 2)]
    cancelled = queue.cancel(job().songhash, "me")
    queue.delete_cancelled(job().songhash, "me")

    assert (pruned, noted, published, cancelled) == (1, True, [True, True], "succeeded")
    assert [get_status(queue, number) for number in (0, 1, 2)] == [None, Status.SUCCEEDED, Status.SUCCEEDED]


def test_a_process_leads_and_adopts_workers_while_redis_is_full(
    queue: Queue, worker: Workers, full: Callable[[], None]
) -> None:
    queue.enqueue(job())
    consumer = worker()
    claim_job(consumer)
    queue.redis.delete(f"{queue.prefix}workers")
    full()

    me, another = (Leader(queue, 60, name) for name in ("me", "another"))
    leads = [each.acquire_leadership() for each in (me, another, me)]
    queue.register_missing_workers()
    me.release_leadership()

    assert leads == [True, False, True]
    assert queue.redis.zrange(f"{queue.prefix}workers", 0, -1) == [consumer.worker.encode()]
    assert another.acquire_leadership()


def test_new_jobs_and_callbacks_are_refused_with_a_sentence_that_says_why(
    queue: Queue, worker: Workers, full: Callable[[], None]
) -> None:
    queue.enqueue(job())
    claim_job(worker()).fail(ERROR)
    queue.enqueue(job(1))
    full()

    for refused in (job(), job(2), replace(job(1), callback=CALLBACK)):
        with pytest.raises(RedisFull, match="Redis is full") as problem:
            queue.enqueue(refused)
        assert problem.value.code == "queue_full"
    assert get_status(queue) is Status.FAILED
    assert get_job(queue, 1).callback is None
    assert get_status(queue, 2) is None
