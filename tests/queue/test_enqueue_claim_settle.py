"""The queue against a real Redis-protocol server: a job is never in nobody's hands."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext

import pytest
from redis import Redis

from msas.job import Stage, State
from msas.problem import NotAudio, QueueUnavailable
from msas.queue import Queue, Receiver
from msas.settings import Settings
from tests.queue.fixtures import ERROR, TRACKS, job, places, report, state, taken
from tests.support.processes import eventually


def test_jobs_are_taken_in_the_order_they_came(queue: Queue, worker: Callable[[], Receiver]) -> None:
    for number in range(5):
        assert queue.enqueue(job(number)) == (True, State.QUEUED)
    assert queue.overview() == ([job(number).songhash for number in range(5)], [], [])
    receiver = worker()
    order = []
    for _ in range(5):
        lease = taken(receiver)
        order.append(lease.job)
        lease.succeed(report())
    assert order == [job(number) for number in range(5)]


def test_the_position_in_the_line_counts_from_one(queue: Queue, worker: Callable[[], Receiver]) -> None:
    for number in range(3):
        queue.enqueue(job(number))
    assert [queue.status(job(n).songhash).position for n in range(3)] == [1, 2, 3]  # type: ignore[union-attr]
    taken(worker())
    assert [queue.status(job(n).songhash).position for n in range(3)] == [None, 1, 2]  # type: ignore[union-attr]


def test_enqueueing_a_known_songhash_creates_no_second_job(
    queue: Queue, worker: Callable[[], Receiver], redis: Redis
) -> None:
    queue.enqueue(job())
    assert queue.enqueue(job()) == (False, State.QUEUED)
    lease = taken(worker())
    assert queue.enqueue(job()) == (False, State.RUNNING)
    lease.succeed(report())
    assert queue.enqueue(job()) == (False, State.SUCCEEDED)
    assert places(redis, queue) == 0


def test_a_failed_job_may_be_enqueued_again_and_starts_afresh(queue: Queue, worker: Callable[[], Receiver]) -> None:
    queue.enqueue(job())
    taken(worker()).fail(NotAudio("No audio."))
    status = queue.status(job().songhash)
    assert status
    assert (status.state, status.error) == (State.FAILED, {"code": "not_audio", "message": "No audio."})
    assert queue.enqueue(job()) == (True, State.QUEUED)
    assert taken(worker()).attempt == 1


def test_success_publishes_the_tracks_in_our_order(queue: Queue, worker: Callable[[], Receiver]) -> None:
    queue.enqueue(job())
    taken(worker()).succeed(report())
    status = queue.status(job().songhash)
    assert status
    assert (status.tracks, status.model, status.progress) == (tuple(TRACKS), "lite", 1.0)


def test_a_running_job_lies_in_exactly_one_place(queue: Queue, worker: Callable[[], Receiver], redis: Redis) -> None:
    queue.enqueue(job())
    assert places(redis, queue) == 1
    lease = taken(worker())
    assert places(redis, queue) == 1
    assert queue.overview() == ([], [job().songhash], [])
    lease.release()
    assert places(redis, queue) == 1
    taken(worker()).succeed(report())
    assert places(redis, queue) == 0


def test_a_message_that_was_taken_but_not_claimed_is_claimed_on_the_next_turn(
    queue: Queue, worker: Callable[[], Receiver], redis: Redis
) -> None:
    """As after a BLMOVE whose reply was lost."""
    queue.enqueue(job(1))
    queue.enqueue(job(2))
    receiver = worker()
    redis.lmove(queue.name, receiver.taken, "RIGHT", "LEFT")
    assert (taken(receiver).job, places(redis, queue, 1)) == (job(1), 1)


def test_a_claim_whose_reply_was_lost_is_repeated_by_the_same_worker_without_an_attempt(
    queue: Queue, worker: Callable[[], Receiver], redis: Redis
) -> None:
    queue.enqueue(job())
    receiver = worker()
    taken(receiver)
    again = taken(receiver)
    assert (again.attempt, places(redis, queue)) == (1, 1)
    assert again.succeed(report()) == "ok"
    assert state(queue) is State.SUCCEEDED


def test_settling_may_be_sent_twice(queue: Queue, worker: Callable[[], Receiver]) -> None:
    queue.enqueue(job())
    lease = taken(worker())
    assert lease.succeed(report()) == "ok"
    assert lease.succeed(report()) == "ok"
    assert lease.fail(NotAudio("Too late.")) == "ok", "a settled job answers ok ..."
    assert state(queue) is State.SUCCEEDED, "... and stays as it was"


def test_a_renewal_publishes_stage_and_progress(queue: Queue, worker: Callable[[], Receiver]) -> None:
    queue.enqueue(job())
    receiver = worker()
    lease = taken(receiver)
    lease.stage, lease.progress = Stage.SEPARATING, 0.25
    receiver.beat(lease)
    status = queue.status(job().songhash)
    assert status
    assert (status.stage, status.progress, status.state) == ("separating", 0.25, State.RUNNING)


def test_a_released_job_is_first_in_line_and_keeps_its_attempt(queue: Queue, worker: Callable[[], Receiver]) -> None:
    for number in range(3):
        queue.enqueue(job(number))
    end = worker()
    assert taken(end).release() == "ok"
    assert queue.overview()[0] == [job(number).songhash for number in range(3)]
    again = taken(end)
    assert (again.job, again.attempt) == (job(0), 1)


@pytest.mark.parametrize(("attempt", "wait_ms"), [(1, 100), (2, 200)])
def test_a_retried_job_is_due_after_a_wait_that_doubles(
    queue: Queue, worker: Callable[[], Receiver], redis: Redis, attempt: int, wait_ms: int
) -> None:
    queue.enqueue(job())
    redis.hset(queue.job_key(job().songhash), "attempt", attempt - 1)
    lease = taken(worker())

    before = queue.now()
    assert lease.retry(ERROR) == "ok"
    after = queue.now()

    due = redis.zscore(f"{queue.prefix}delayed", job().message())
    assert due
    assert before + wait_ms <= due <= after + wait_ms
    assert state(queue) is State.QUEUED
    assert queue.overview() == ([], [], [job().songhash])


def test_a_retry_sent_twice_delays_the_job_once(queue: Queue, worker: Callable[[], Receiver], redis: Redis) -> None:
    queue.enqueue(job())
    lease = taken(worker())
    assert lease.retry(ERROR) == "ok"
    due = redis.zscore(f"{queue.prefix}delayed", job().message())

    assert lease.retry(ERROR) == "ok"

    assert redis.zscore(f"{queue.prefix}delayed", job().message()) == due
    assert places(redis, queue) == 1


def test_a_third_retry_fails_the_job_and_makes_a_dead_letter(
    queue: Queue, worker: Callable[[], Receiver], redis: Redis
) -> None:
    queue.enqueue(job())
    end = worker()
    for attempt in (1, 2, 3):
        eventually(lambda: (queue.tick(), queue.overview()[0])[1])  # type: ignore[func-returns-value]
        lease = taken(end)
        assert lease.attempt == attempt
        assert lease.retry(ERROR) == "ok"

    status = queue.status(job().songhash)
    assert status
    assert status.state is State.FAILED
    assert status.error == {"code": ERROR.code, "message": ERROR.detail}
    [dead] = redis.lrange(f"{queue.prefix}dead", 0, -1)
    assert json.loads(dead)["hash"] == job().songhash
    assert places(redis, queue) == 0


def test_a_job_put_off_for_the_store_keeps_its_attempt(queue: Queue, worker: Callable[[], Receiver]) -> None:
    queue.enqueue(job())
    end = worker()
    for _ in range(4):
        lease = taken(end)
        assert (lease.attempt, lease.wait(ERROR)) == (1, "ok")
        assert end.take() is None
        eventually(lambda: (queue.tick(), queue.overview()[0])[1])  # type: ignore[func-returns-value]


def test_a_job_put_off_fifty_times_fails(queue: Queue, worker: Callable[[], Receiver], redis: Redis) -> None:
    queue.enqueue(job())
    redis.hset(queue.job_key(job().songhash), "waits", 49)
    taken(worker()).wait(ERROR)
    assert (state(queue), places(redis, queue)) == (State.FAILED, 0)


def test_a_leaving_worker_returns_its_unclaimed_message(
    queue: Queue, worker: Callable[[], Receiver], redis: Redis
) -> None:
    queue.enqueue(job())
    end = worker()
    end.beat(None)
    end._next_message(nullcontext())
    end.leave()
    assert queue.overview() == ([job().songhash], [], [])
    assert not redis.exists(f"{queue.prefix}workers")


@pytest.mark.parametrize("place", ["in line", "delayed", "taken", "over"])
def test_a_cancelled_job_is_held_by_no_worker_and_forgotten_once_dropped(
    queue: Queue, worker: Callable[[], Receiver], redis: Redis, place: str
) -> None:
    queue.enqueue(job())
    end = worker()
    end.beat(None)
    if place == "taken":
        end._next_message(nullcontext())
    elif place != "in line":
        lease = taken(end)
        lease.retry(ERROR) if place == "delayed" else lease.fail(ERROR)
    assert queue.cancel(job().songhash, "me") == ("failed" if place == "over" else "queued")
    assert (state(queue), places(redis, queue)) == (State.CANCELLED, 0)
    assert queue.enqueue(job()) == (False, State.CANCELLED)
    assert queue.cancel(job().songhash, "another") == "busy"
    queue.drop(job().songhash, "another")
    assert state(queue) is State.CANCELLED
    queue.drop(job().songhash, "me")
    queue.drop(job().songhash, "me")
    assert state(queue) is None
    assert end.take() is None
    assert not redis.exists(f"{queue.prefix}ended")


@pytest.mark.parametrize("first", ["worker", "remover"])
def test_a_running_job_that_is_cancelled_is_forgotten_after_worker_and_remover_have_let_go(
    queue: Queue, worker: Callable[[], Receiver], redis: Redis, first: str
) -> None:
    queue.enqueue(job())
    end = worker()
    lease = taken(end)
    assert queue.cancel(job().songhash, "me") == "running"
    assert lease.beat() == "cancelled"
    assert lease.succeed(report()) == "cancelled"
    assert queue.enqueue(job()) == (False, State.CANCELLED)

    def both() -> list[Callable[[], object]]:
        steps: list[Callable[[], object]] = [lease.let_go, lambda: queue.drop(job().songhash, "me")]
        return steps if first == "worker" else steps[::-1]

    both()[0]()
    assert state(queue) is State.CANCELLED
    both()[1]()
    assert (state(queue), places(redis, queue)) == (None, 0)
    assert end.take() is None


def test_a_worker_that_takes_up_a_job_it_holds_and_that_was_cancelled_lets_go_of_it(
    queue: Queue, worker: Callable[[], Receiver], redis: Redis
) -> None:
    """As one does that could not reach the store to remove what it had stored."""
    queue.enqueue(job())
    end = worker()
    taken(end)
    queue.cancel(job().songhash, "me")
    assert end.take() is None
    queue.drop(job().songhash, "me")
    assert (state(queue), places(redis, queue)) == (None, 0)


def test_a_stem_of_an_unknown_or_unfinished_job_can_not_be_removed(queue: Queue) -> None:
    queue.prune("vocals", report())
    assert queue.status(job().songhash) is None
    queue.enqueue(job())
    queue.prune("vocals", report())
    assert queue.enqueue(job()) == (False, State.QUEUED)


def test_a_job_without_a_message_is_enqueued_again(queue: Queue, worker: Callable[[], Receiver], redis: Redis) -> None:
    """As after a stranger popped from the queue."""
    queue.enqueue(job())
    redis.rpop(queue.name)
    assert queue.enqueue(job()) == (False, State.QUEUED)
    assert queue.enqueue(job(), perhaps_lost=True) == (True, State.QUEUED)
    assert queue.enqueue(job(), perhaps_lost=True) == (False, State.QUEUED)
    lease = taken(worker())
    assert queue.enqueue(job(), perhaps_lost=True) == (False, State.RUNNING)
    lease.retry(ERROR)
    assert queue.enqueue(job(), perhaps_lost=True) == (False, State.QUEUED)
    assert places(redis, queue) == 1


def test_one_process_leads_while_it_renews(queue: Queue) -> None:
    assert queue.lead("first", 0.2)
    for _ in range(4):
        assert queue.lead("first", 0.2)
        assert not queue.lead("second", 0.2)
    eventually(lambda: queue.lead("second", 60))
    assert not queue.lead("first", 60)


def test_a_settled_job_keeps_no_message(queue: Queue, worker: Callable[[], Receiver], redis: Redis) -> None:
    queue.enqueue(job())
    taken(worker()).succeed(report())
    assert not redis.hexists(queue.job_key(job().songhash), "message")


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"garbage \xff\x00",
        b"null",
        b"[" * 100_000,
        b'{"no": "hash"}',
        b'{"hash": "../../etc/passwd"}',
        b'{"hash": 7}',
        b'{"hash": "' + b"0" * 56 + b'", "model": "\\ud800"}',
        '{"hash": "0"}'.encode("utf-16"),
        b'{"hash": "' + b"0" * 56 + b'", "data": "not base64!"}',
        b'{"hash": "' + b"0" * 56 + b'", "data": 7}',
    ],
)
def test_a_broken_message_becomes_a_dead_letter_with_its_reason(
    queue: Queue, worker: Callable[[], Receiver], redis: Redis, message: bytes
) -> None:
    redis.lpush(queue.name, message)
    queue.enqueue(job())
    end = worker()
    assert end.take() is None
    [dead] = redis.lrange(f"{queue.prefix}dead", 0, -1)
    assert json.loads(dead)["reason"].startswith("the message")
    assert taken(end).job == job()


def test_a_foreign_copy_of_a_running_or_ended_job_is_dropped(
    queue: Queue, worker: Callable[[], Receiver], redis: Redis
) -> None:
    queue.enqueue(job())
    lease = taken(worker())
    rival = worker()
    for _ in range(2):
        redis.lpush(queue.name, job().message())
        assert rival.take() is None
        assert redis.llen(rival.taken) == 0
        assert lease.succeed(report()) == "ok"
    assert state(queue) is State.SUCCEEDED


def test_workers_on_one_machine_have_different_names(worker: Callable[[], Receiver]) -> None:
    assert worker().worker != worker().worker


def test_an_unreachable_redis_raises_one_sentence() -> None:
    queue = Queue.from_settings(Settings(redis_host="127.0.0.1", redis_port=1))
    for call in (lambda: queue.enqueue(job()), lambda: queue.status("0"), queue.overview, queue.now, queue.offered):
        with pytest.raises(QueueUnavailable, match=r"^Redis does not answer .*\.$"):
            call()
