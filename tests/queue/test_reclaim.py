"""Lost workers: once their leases have expired, `Queue.reclaim` puts their jobs back in line."""

from __future__ import annotations

import json

import pytest

from msas.errors import NotAudio
from msas.job import Status
from msas.queue import Queue
from tests.queue.fixtures import Workers, claim_job, copies, get_job, get_status, job, pop
from tests.support.queue_time import end_delays, expire_leases, reclaim

MOST_STRAYS = 10  # workers that may be lost between pop and claim of one message
MOST_LOST = 6  # workers that may be lost after their claim of one job


def test_a_lost_workers_job_is_claimed_by_another_as_its_second_attempt(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())
    lost = worker()
    claim_job(lost)

    reclaim(queue, lost.worker)

    assert copies(queue) == 1
    assert claim_job(worker()).attempt == 2
    assert copies(queue) == 1


def test_a_lost_workers_job_waits_for_its_delay(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())
    lost = worker()
    claim_job(lost)
    expire_leases(queue, lost.worker)

    queue.reclaim()

    assert queue.list_all_jobs() == ([], [], [job().songhash])
    error = get_job(queue).error
    assert error
    assert error["code"] == "worker_lost"


def test_a_worker_that_lost_its_lease_changes_nothing(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())
    lost = worker()
    lease = claim_job(lost)
    reclaim(queue, lost.worker)
    rival = claim_job(worker())

    assert lease.renew() == "lost"
    assert lease.status == "lost"
    assert lease.succeed() == "lost"
    assert lease.fail(NotAudio("No audio.")) == "lost"
    assert lease.release() == "lost"

    assert get_status(queue) is Status.RUNNING
    assert copies(queue) == 1
    assert rival.succeed() == "ok"
    assert lease.fail(NotAudio("No audio.")) == "lost"
    assert get_status(queue) is Status.SUCCEEDED


def test_a_worker_that_lost_its_lease_is_told_so_before_another_has_the_job(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())
    lost = worker()
    lease = claim_job(lost)

    reclaim(queue, lost.worker)

    assert lease.renew() == "lost"


def test_a_busy_worker_keeps_its_job_when_another_is_lost(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job(1))
    queue.enqueue(job(2))
    lost, busy = worker(), worker()
    claim_job(lost)
    claim_job(busy)

    reclaim(queue, lost.worker)

    assert get_status(queue, 1) is Status.QUEUED
    assert get_status(queue, 2) is Status.RUNNING


def test_a_worker_that_renews_an_expired_lease_before_the_tick_keeps_its_job(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())
    consumer = worker()
    lease = claim_job(consumer)
    expire_leases(queue, consumer.worker)

    assert lease.renew() == "ok"
    queue.reclaim()

    assert get_status(queue) is Status.RUNNING
    assert lease.succeed() == "ok"


def test_a_second_tick_within_a_sixth_of_a_lease_does_nothing(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())
    consumer = worker()
    claim_job(consumer)
    queue.reclaim()
    expire_leases(queue, consumer.worker)
    queue.redis.set(f"{queue.prefix}tick", queue.now())

    queue.reclaim()

    assert get_status(queue) is Status.RUNNING


def test_a_job_reclaimed_before_its_claim_keeps_its_attempt(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())
    lost = worker()
    pop(queue, lost)

    reclaim(queue, lost.worker)

    assert claim_job(worker()).attempt == 1


@pytest.mark.parametrize(
    "message",
    [b'{"meta": {"hash": "abc"}, "hash": "%s"}', b'{"h\\u0061sh": "%s"}'],
    ids=["two-hashes", "escaped-name"],
)
def test_a_foreign_message_of_any_shape_survives_its_worker(queue: Queue, worker: Workers, message: bytes) -> None:
    queue.redis.lpush(queue.name, message % job().songhash.encode())
    lost = worker()
    claim_job(lost)

    reclaim(queue, lost.worker)

    again = claim_job(worker())
    assert again.job.songhash == job().songhash
    assert again.attempt == 2


def test_a_worker_is_known_for_an_hour_after_its_lease_so_that_its_message_is_reclaimed(
    queue: Queue, worker: Workers
) -> None:
    queue.enqueue(job())
    paused = worker()
    paused.renew(None)
    expire_leases(queue, paused.worker)
    queue.reclaim()

    queue.redis.lmove(queue.name, paused.run_key, "RIGHT", "LEFT")  # the pop that it was about to send
    expire_leases(queue)
    queue.reclaim()

    assert claim_job(worker()).job == job()


def test_a_worker_is_forgotten_an_hour_after_its_lease(queue: Queue, worker: Workers) -> None:
    lost = worker()
    lost.renew(None)
    queue.redis.zadd(f"{queue.prefix}workers", {lost.worker: queue.now() - 3600 * 1000 - 1})
    expire_leases(queue)

    queue.reclaim()

    assert not queue.redis.exists(f"{queue.prefix}workers")


def test_the_first_tick_after_an_outage_renews_every_lease(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())
    consumer = worker()
    lease = claim_job(consumer)
    expire_leases(queue, consumer.worker)
    queue.redis.set(f"{queue.prefix}tick", 1)

    queue.reclaim()
    assert get_status(queue) is Status.RUNNING

    expire_leases(queue)  # a reclaim is due once more
    queue.reclaim()
    assert get_status(queue) is Status.RUNNING
    assert copies(queue) == 1
    assert lease.succeed() == "ok"


def test_a_clock_that_was_set_back_delays_no_job_longer_and_reclaims_nothing(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job(1))
    queue.enqueue(job(2))
    consumer = worker()
    claim_job(worker()).retry(NotAudio("No audio."))
    claim_job(consumer)
    queue.redis.zadd(f"{queue.prefix}delayed", {job(1).message(): queue.now() + 10**9})
    expire_leases(queue, consumer.worker)
    queue.redis.set(f"{queue.prefix}tick", queue.now() + 10**9)

    queue.reclaim()

    assert get_status(queue, 2) is Status.RUNNING
    assert queue.list_all_jobs()[0] == [job(1).songhash]


def test_a_job_that_lost_six_workers_fails_with_a_dead_letter(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())

    for attempt in range(1, 1 + MOST_LOST):
        assert get_status(queue) is Status.QUEUED
        lost = worker()
        assert claim_job(lost).attempt == attempt
        reclaim(queue, lost.worker)

    found = get_job(queue)
    assert found.status is Status.FAILED
    assert found.error
    assert found.error["code"] == "worker_lost"
    [dead] = queue.redis.lrange(f"{queue.prefix}dead", 0, -1)
    assert json.loads(dead)["hash"] == job().songhash
    assert copies(queue) == 0
    assert worker().claim_next() is None


def test_a_message_that_loses_ten_workers_before_their_claim_fails_its_job(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())
    for _ in range(MOST_STRAYS - 1):
        lost = worker()
        pop(queue, lost)
        lost.deregister()
    assert get_status(queue) is Status.QUEUED

    lost = worker()
    pop(queue, lost)
    lost.deregister()

    found = get_job(queue)
    assert found.status is Status.FAILED
    assert found.error
    assert found.error["code"] == "worker_lost"
    assert copies(queue) == 0
    assert queue.redis.llen(f"{queue.prefix}dead") == 1


def test_a_claim_ends_the_count_of_workers_lost_before_their_claim(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())
    for _ in range(MOST_STRAYS - 1):
        lost = worker()
        pop(queue, lost)
        lost.deregister()
    claim_job(worker()).release()

    lost = worker()
    pop(queue, lost)
    lost.deregister()

    assert get_status(queue) is Status.QUEUED


def test_a_cancelled_jobs_worker_that_is_lost_holds_the_job_no_longer(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())
    lost = worker()
    claim_job(lost)
    queue.cancel(job().songhash, "me")

    reclaim(queue, lost.worker)

    queue.delete_cancelled(job().songhash, "me")
    assert get_status(queue) is None
    assert copies(queue) == 0


def test_a_worker_that_redis_forgot_is_known_again_with_a_whole_lease(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())
    consumer = worker()
    claim_job(consumer)
    queue.redis.delete(f"{queue.prefix}workers")

    queue.register_missing_workers()

    end_delays(queue)
    queue.reclaim()
    assert get_status(queue) is Status.RUNNING
    reclaim(queue, consumer.worker)
    assert claim_job(worker()).attempt == 2


def test_a_job_whose_holder_has_nothing_in_its_list_is_claimed_by_another(queue: Queue, worker: Workers) -> None:
    """As after Redis went back to an older state."""
    queue.enqueue(job())
    holder = worker()
    claim_job(holder)
    queue.redis.delete(holder.run_key)
    queue.redis.lpush(queue.name, job().message())

    assert claim_job(worker()).attempt == 2
