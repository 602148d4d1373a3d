"""Lost workers: a tick reclaims what they held."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import pytest
from redis import Redis

from msas.job import State
from msas.problem import NotAudio
from msas.queue import Queue, Receiver
from tests.queue.fixtures import job, places, report, state, taken
from tests.support.processes import eventually


def lapse(worker: Callable[[], Receiver], dead: Receiver, queue: Queue) -> Receiver:
    """Let `dead`'s lease run out under the eyes of another worker, which is returned; nothing else waits."""
    watcher = worker()

    def gone() -> bool:
        watcher.beat(None)
        queue.tick()
        return queue.redis.llen(dead.taken) == 0 and queue.redis.zcard(f"{queue.prefix}delayed") == 0

    eventually(gone, 10)
    return watcher


def test_a_lost_workers_job_is_claimed_by_another_and_the_lost_one_changes_nothing(
    queue: Queue, worker: Callable[[], Receiver], redis: Redis
) -> None:
    queue.enqueue(job())
    zombie_end = worker()
    zombie = taken(zombie_end)
    rival_end = lapse(worker, zombie_end, queue)
    rival = taken(rival_end)
    assert (rival.attempt, places(redis, queue)) == (2, 1)
    zombie_end.beat(zombie)
    assert zombie.held == "lost"
    assert zombie.succeed(report()) == "lost"
    assert zombie.fail(NotAudio("No.")) == "lost"
    assert zombie.release() == "lost"
    assert (state(queue), places(redis, queue)) == (State.RUNNING, 1)
    assert rival.succeed(report()) == "ok"
    assert zombie.fail(NotAudio("No.")) == "lost"
    assert state(queue) is State.SUCCEEDED


def test_a_busy_worker_keeps_its_job_while_a_lost_workers_job_waits_again(
    queue: Queue, worker: Callable[[], Receiver]
) -> None:
    queue.enqueue(job(1))
    queue.enqueue(job(2))
    taken(worker())
    busy = worker()
    lease = taken(busy)

    def back_in_line() -> bool:
        busy.beat(lease)
        queue.tick()
        return state(queue, 1) is State.QUEUED

    eventually(back_in_line, 10)
    assert state(queue, 2) is State.RUNNING


def test_a_job_reclaimed_before_its_claim_keeps_its_attempt(
    queue: Queue, worker: Callable[[], Receiver], redis: Redis
) -> None:
    queue.enqueue(job())
    dead = worker()
    dead.beat(None)
    redis.lmove(queue.name, dead.taken, "RIGHT", "LEFT")
    assert taken(lapse(worker, dead, queue)).attempt == 1


@pytest.mark.parametrize(
    "message",
    [
        b'{"meta": {"hash": "abc"}, "hash": "%s"}',
        b'{"h\\u0061sh": "%s"}',
    ],
)
def test_a_foreign_message_of_any_shape_survives_its_worker(
    queue: Queue, worker: Callable[[], Receiver], redis: Redis, message: bytes
) -> None:
    redis.lpush(queue.name, message % job().songhash.encode())
    dead = worker()
    taken(dead)
    again = taken(lapse(worker, dead, queue))
    assert (again.job.songhash, again.attempt) == (job().songhash, 2)


def test_a_message_taken_by_a_deregistered_worker_that_dies_is_reclaimed(
    queue: Queue, worker: Callable[[], Receiver]
) -> None:
    paused, watcher = worker(), worker()
    paused.beat(None)

    def lapsed() -> bool:
        watcher.beat(None)
        queue.tick()
        ends, now = queue.redis.zscore(f"{queue.prefix}workers", paused.worker), queue.redis.time()
        return ends is not None and ends < now[0] * 1000 + now[1] // 1000

    eventually(lapsed)
    queue.tick()
    queue.enqueue(job())
    assert paused._next_message(nullcontext()) == job().message()
    assert taken(lapse(worker, paused, queue)).job == job()


def test_a_claim_fails_after_the_message_was_reclaimed(
    queue: Queue, worker: Callable[[], Receiver], redis: Redis
) -> None:
    """A worker that pauses between taking and claiming must not claim what another already has in line."""
    queue.enqueue(job())
    slow = worker()
    slow.beat(None)
    message = slow._next_message(nullcontext())
    assert message
    lapse(worker, slow, queue)
    slow._next_message = lambda listening: message  # type: ignore[method-assign]  # noqa: ARG005
    assert slow.take() is None
    assert (state(queue), places(redis, queue)) == (State.QUEUED, 1)


def test_the_first_tick_after_an_outage_renews_every_lease(
    queue: Queue, worker: Callable[[], Receiver], redis: Redis
) -> None:
    queue.enqueue(job())
    end = worker()
    lease = taken(end)
    redis.zadd(f"{queue.prefix}workers", {end.worker: 1})
    redis.set(f"{queue.prefix}tick", 1)
    queue.tick()
    assert (state(queue), places(redis, queue)) == (State.RUNNING, 1)
    assert lease.succeed(report()) == "ok"


def test_a_job_that_lost_three_workers_is_a_dead_letter_with_the_reason(
    queue: Queue, worker: Callable[[], Receiver], redis: Redis
) -> None:
    queue.enqueue(job())
    end = worker()
    for attempt in (1, 2, 3):
        assert taken(end).attempt == attempt
        end = lapse(worker, end, queue)
    status = queue.status(job().songhash)
    assert status
    assert status.state is State.FAILED
    assert status.error
    assert status.error["code"] == "worker_lost"
    assert (end.take(), places(redis, queue)) == (None, 0)


def test_a_worker_keeps_its_job_while_it_renews(queue: Queue, worker: Callable[[], Receiver]) -> None:
    queue.enqueue(job())
    end, rival = worker(), worker()
    lease = taken(end)
    for _ in range(10):  # a second: three leases, each take waits and ticks
        end.beat(lease)
        queue.tick()
        assert rival.take() is None
    assert lease.held == "ok"
    assert lease.succeed(report()) == "ok"


def test_a_message_that_ends_ten_workers_before_their_claim_is_a_dead_letter(
    queue: Queue, worker: Callable[[], Receiver], redis: Redis
) -> None:
    queue.enqueue(job())
    for _ in range(10):
        dead = worker()
        dead.beat(None)
        assert redis.lmove(queue.name, dead.taken, "RIGHT", "LEFT")
        dead.leave()
    status = queue.status(job().songhash)
    assert status
    assert status.error
    assert (status.state, status.error["code"], places(redis, queue)) == (State.FAILED, "worker_lost", 0)
