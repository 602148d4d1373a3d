"""The queue against a real Redis-protocol server: a job is never in nobody's hands."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from redis import Redis

from msas.job import Stage, State
from msas.problem import NotAudio, QueueUnavailable
from msas.queue import Queue, Receiver, connect
from msas.settings import Settings
from tests.queueing import TRACKS, job, places, state, taken


def test_jobs_are_taken_in_the_order_they_came(queue: Queue, worker: Callable[[], Receiver]) -> None:
    for number in range(5):
        assert queue.enqueue(job(number)) == (True, State.QUEUED)
    assert queue.overview() == ([job(number).songhash for number in range(5)], [])
    receiver = worker()
    order = []
    for _ in range(5):
        lease = taken(receiver)
        order.append(lease.job)
        lease.succeed(TRACKS, "lite", {})
    assert order == [job(number) for number in range(5)]


def test_the_position_in_the_line_counts_from_one(queue: Queue, worker: Callable[[], Receiver]) -> None:
    for number in range(3):
        queue.enqueue(job(number))
    assert [queue.status(job(n).songhash).position for n in range(3)] == [1, 2, 3]  # type: ignore[union-attr]
    taken(worker())
    assert [queue.status(job(n).songhash).position for n in range(3)] == [None, 1, 2]  # type: ignore[union-attr]


def test_one_songhash_is_one_job_while_it_waits_runs_and_is_done(
    queue: Queue, worker: Callable[[], Receiver], redis: Redis
) -> None:
    queue.enqueue(job())
    assert queue.enqueue(job()) == (False, State.QUEUED)
    lease = taken(worker())
    assert queue.enqueue(job()) == (False, State.RUNNING)
    lease.succeed(TRACKS, "lite", {})
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
    taken(worker()).succeed(list(reversed(TRACKS)), "lite", {})
    status = queue.status(job().songhash)
    assert status
    assert (status.tracks, status.model, status.progress) == (tuple(TRACKS), "lite", 1.0)


def test_a_running_job_lies_in_exactly_one_place(queue: Queue, worker: Callable[[], Receiver], redis: Redis) -> None:
    queue.enqueue(job())
    assert places(redis, queue) == 1
    lease = taken(worker())
    assert places(redis, queue) == 1
    assert queue.overview() == ([], [job().songhash])
    lease.release()
    assert places(redis, queue) == 1
    taken(worker()).succeed(TRACKS, "lite", {})
    assert places(redis, queue) == 0


def test_what_was_taken_but_never_claimed_is_found_on_the_next_turn(
    queue: Queue, worker: Callable[[], Receiver], redis: Redis
) -> None:
    """As after a BLMOVE whose reply was lost."""
    queue.enqueue(job(1))
    queue.enqueue(job(2))
    receiver = worker()
    redis.lmove(queue.keys.queue, receiver.taken, "RIGHT", "LEFT")
    assert (taken(receiver).job, places(redis, queue, 1)) == (job(1), 1)


def test_a_claim_whose_reply_was_lost_is_claimed_again_by_the_same_worker_at_no_cost(
    queue: Queue, worker: Callable[[], Receiver], redis: Redis
) -> None:
    queue.enqueue(job())
    receiver = worker()
    taken(receiver)
    again = taken(receiver)
    assert (again.attempt, places(redis, queue)) == (1, 1)
    assert again.succeed(TRACKS, "lite", {})
    assert state(queue) is State.SUCCEEDED


def test_settling_may_be_sent_twice(queue: Queue, worker: Callable[[], Receiver]) -> None:
    queue.enqueue(job())
    lease = taken(worker())
    assert lease.succeed(TRACKS, "lite", {})
    assert lease.succeed(TRACKS, "lite", {})
    assert lease.fail(NotAudio("Too late.")), "a settled job answers ok ..."
    assert state(queue) is State.SUCCEEDED, "... and stays as it was"


def test_the_beat_carries_stage_and_progress(queue: Queue, worker: Callable[[], Receiver]) -> None:
    queue.enqueue(job())
    receiver = worker()
    lease = taken(receiver)
    lease.stage, lease.progress = Stage.SEPARATING, 0.25
    receiver.beat(lease)
    status = queue.status(job().songhash)
    assert status
    assert (status.stage, status.progress, status.state) == ("separating", 0.25, State.RUNNING)


def test_handing_back_puts_the_job_at_the_head_of_the_line_and_costs_no_attempt(
    queue: Queue, worker: Callable[[], Receiver]
) -> None:
    for number in range(3):
        queue.enqueue(job(number))
    end = worker()
    assert taken(end).release()
    assert queue.overview()[0] == [job(number).songhash for number in range(3)]
    again = taken(end)
    assert (again.job, again.attempt) == (job(0), 1)


def test_removing_works_on_what_waits_or_is_over_and_leaves_what_runs(
    queue: Queue, worker: Callable[[], Receiver], redis: Redis
) -> None:
    queue.enqueue(job(1))
    assert queue.remove(job(1).songhash) is State.QUEUED
    assert (state(queue, 1), places(redis, queue, 1)) == (None, 0)
    queue.enqueue(job(2))
    lease = taken(worker())
    assert queue.remove(job(2).songhash) is State.RUNNING
    lease.succeed(TRACKS, "lite", {})
    assert queue.remove(job(2).songhash) is State.SUCCEEDED
    assert queue.remove(job(2).songhash) is None


def test_removing_a_job_that_was_just_taken_leaves_it_to_its_worker(
    queue: Queue, worker: Callable[[], Receiver]
) -> None:
    queue.enqueue(job())
    end = worker()
    end.beat(None)
    end._next_message()
    assert queue.remove(job().songhash) is State.RUNNING
    assert taken(end).job == job()


def test_a_stem_of_a_job_that_is_gone_or_not_over_can_not_be_dropped(queue: Queue) -> None:
    queue.drop_track(job().songhash, "vocals")
    assert queue.status(job().songhash) is None
    queue.enqueue(job())
    queue.drop_track(job().songhash, "vocals")
    assert queue.enqueue(job()) == (False, State.QUEUED)


def test_a_settled_job_keeps_no_message(queue: Queue, worker: Callable[[], Receiver], redis: Redis) -> None:
    queue.enqueue(job())
    taken(worker()).succeed(TRACKS, "lite", {})
    assert not redis.hexists(queue.keys.job(job().songhash), "message")


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
def test_a_broken_message_goes_to_the_dead_list_with_its_reason(
    queue: Queue, worker: Callable[[], Receiver], redis: Redis, message: bytes
) -> None:
    redis.lpush(queue.keys.queue, message)
    queue.enqueue(job())
    end = worker()
    assert end.take() is None
    [dead] = redis.lrange(queue.keys.dead, 0, -1)
    assert json.loads(dead)["reason"].startswith("the message")
    assert taken(end).job == job()


def test_a_foreign_duplicate_of_a_running_or_finished_job_vanishes(
    queue: Queue, worker: Callable[[], Receiver], redis: Redis
) -> None:
    queue.enqueue(job())
    lease = taken(worker())
    rival = worker()
    for _ in range(2):
        redis.lpush(queue.keys.queue, job().message())
        assert rival.take() is None
        assert redis.llen(rival.taken) == 0
        assert lease.succeed(TRACKS, "lite", {})
    assert state(queue) is State.SUCCEEDED


def test_workers_on_one_machine_have_different_names(worker: Callable[[], Receiver]) -> None:
    assert worker().worker != worker().worker


def test_a_redis_that_is_away_is_said_in_one_sentence() -> None:
    queue = Queue(connect(Settings(redis_host="127.0.0.1", redis_port=1)))
    for call in (lambda: queue.enqueue(job()), lambda: queue.status("0"), queue.overview, queue.ping, queue.offered):
        with pytest.raises(QueueUnavailable, match=r"^Redis does not answer .*\.$"):
            call()
