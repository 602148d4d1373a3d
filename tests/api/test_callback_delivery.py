"""The delivery of callbacks: repeated tries, several processes, slow receivers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

import pytest
from standardwebhooks import Webhook

from msas.job import Job
from msas.options import Options
from msas.queue import CallbackQueue, Consumer, Queue
from tests.queue.fixtures import ERROR, claim_job
from tests.support.callbacks import (
    SECRET,
    SONGHASH,
    callback_sender,
    delivery_of,
    enqueue_and_succeed,
    going,
    hook,
    job_with_callback,
    run_until,
)
from tests.support.http_receivers import answer, receiving
from tests.support.processes import eventually

Workers = Callable[[], Consumer]


def end_holds(queue: Queue) -> None:
    """Let all callbacks be due, as if the time of the processes that hold them had run out."""
    for member in cast(list[bytes], queue.redis.zrange(f"{queue.prefix}callbacks", 0, -1)):
        queue.redis.zadd(f"{queue.prefix}callbacks", {member: 0})


def test_a_callback_is_tried_again_under_the_same_id_until_it_is_delivered(queue: Queue, worker: Workers) -> None:
    with hook(answer(500), answer(302, "Location: http://a.test/"), answer(200)) as receiver:
        enqueue_and_succeed(queue, worker(), job_with_callback(receiver, "x"))
        found = run_until(callback_sender(queue), queue)

    assert found["attempts"] == 3
    assert found["http_status"] == 200
    assert found["error"] is None
    assert {request.headers["webhook-id"] for request in receiver.requests} == {found["webhook_id"]}
    signed = [Webhook(SECRET).verify(request.body, request.headers) for request in receiver.requests]
    assert signed == ["x"] * 3


def test_the_status_says_why_a_callback_failed_and_when_it_is_tried_again(queue: Queue, worker: Workers) -> None:
    with hook(answer(503)) as receiver:
        enqueue_and_succeed(queue, worker(), job_with_callback(receiver))
        before = delivery_of(queue)
        sending = callback_sender(queue, waits=(3600,))
        going(sending, lambda: delivery_of(queue)["attempts"])

        found, status = delivery_of(queue), queue.job(SONGHASH)
        assert before["next_at"] is None
        assert found["state"] == "waiting"
        assert found["error"] == "The receiver answered 503."
        assert status
        assert status.ended_at
        seconds_later = datetime.fromisoformat(found["next_at"]).timestamp() - status.ended_at.timestamp()
        assert 3600 <= seconds_later < 4000
        assert not sending.turn()


def test_a_callback_is_given_up_after_the_last_try(queue: Queue, worker: Workers) -> None:
    with hook(answer(404)) as receiver:
        enqueue_and_succeed(queue, worker(), job_with_callback(receiver))
        found = run_until(callback_sender(queue), queue, "given_up")

        assert found["attempts"] == 3
        assert found["error"] == "The receiver answered 404."
        assert found["next_at"] is None
        assert len(receiver.requests) == 3
        assert not callback_sender(queue).turn()


def test_a_receiver_that_answers_gone_is_not_asked_again(queue: Queue, worker: Workers) -> None:
    with hook(answer(410)) as receiver:
        enqueue_and_succeed(queue, worker(), job_with_callback(receiver))

        assert run_until(callback_sender(queue), queue, "given_up")["attempts"] == 1


def test_a_callback_that_fails_changes_nothing_else_of_the_job(queue: Queue, worker: Workers) -> None:
    with hook(answer(500)) as receiver:
        enqueue_and_succeed(queue, worker(), job_with_callback(receiver))
        before = queue.job(SONGHASH)
        run_until(callback_sender(queue), queue, "given_up")
        after = queue.job(SONGHASH)

    assert before
    assert after
    assert replace(before, callback=None) == replace(after, callback=None)


# Several processes.


def test_a_callback_held_by_a_killed_process_is_sent_by_another(queue: Queue, worker: Workers) -> None:
    with hook() as receiver:
        enqueue_and_succeed(queue, worker(), job_with_callback(receiver))
        [held] = CallbackQueue(queue).take_due(8, hold_seconds=3600)
        assert not callback_sender(queue).turn()

        end_holds(queue)

        found = run_until(callback_sender(queue), queue)
        assert found["webhook_id"] == held.webhook_id
        assert found["attempts"] == 1
        assert len(receiver.requests) == 1


def test_a_process_that_notes_a_delivery_too_late_changes_nothing(queue: Queue, worker: Workers) -> None:
    with hook() as receiver:
        enqueue_and_succeed(queue, worker(), job_with_callback(receiver))
        [late] = CallbackQueue(queue).take_due(8, hold_seconds=3600)
        end_holds(queue)
        before = run_until(callback_sender(queue), queue)

        noted = CallbackQueue(queue).record_delivery(late, replace(late.delivery, attempts=7, next_at=1))

        assert not noted
        assert delivery_of(queue) == before
        assert not callback_sender(queue).turn()


def test_several_processes_send_each_callback_once(queue: Queue, worker: Workers) -> None:
    jobs = [Job(f"{number:056x}", Options("lite")) for number in range(12)]
    with hook() as receiver:
        for job in jobs:
            callback = {"url": f"http://{job.songhash[-2:]}.test:{receiver.port}/"}
            enqueue_and_succeed(queue, worker(), replace(job, callback=callback))
        callback_senders = [callback_sender(queue) for _ in range(3)]

        def all_delivered() -> bool:
            begun = [each.turn() for each in callback_senders]
            found = [queue.job(job.songhash) for job in jobs]
            return not any(begun) and all(each and each.callback and each.callback["delivered_at"] for each in found)

        eventually(all_delivered, 40)

    assert len(receiver.requests) == 12
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 12


def test_a_slow_receiver_does_not_delay_callbacks_to_others(queue: Queue, worker: Workers) -> None:
    let_go = threading.Event()
    with receiving(lambda _: let_go.wait(60)) as slow, hook() as quick:
        for number in range(20):
            receiver, host = (slow, "slow.test") if number < 19 else (quick, "quick.test")
            job = replace(job_with_callback(receiver, host=host), songhash=f"{number:056x}")
            enqueue_and_succeed(queue, worker(), job)

        going(callback_sender(queue, seconds=60), lambda: quick.requests)

        assert len(slow.requests) < 8
        let_go.set()


def test_a_slow_receiver_of_a_thousand_callbacks_costs_four_calls_to_redis_for_each_delivery(
    queue: Queue, worker: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    permits, calls = threading.Semaphore(0), list[str]()
    with receiving(lambda _: permits.acquire(timeout=60)) as slow:
        for number in range(10):
            job = replace(job_with_callback(slow), songhash=f"{number:056x}")
            for data in range(100):
                queue.enqueue(replace(job, callback={**(job.callback or {}), "data": data}))
            claim_job(worker()).succeed()
        sending = callback_sender(queue, waits=(3600,), seconds=60)
        send: Callable[..., Any] = queue.redis.execute_command

        def send_counted(*command: Any, **options: Any) -> Any:
            calls.append(command[0])
            return send(*command, **options)

        def end_one_and_begin_the_next() -> None:
            calls.clear()
            permits.release()
            eventually(lambda: not sending._hosts.full())
            assert [sending.turn(), sending.turn()] == [True, False]

        monkeypatch.setattr(queue.redis, "execute_command", send_counted)
        assert [sending.turn() for _ in range(4)] == [True, True, True, False]
        assert len(calls) <= 6 + 1000 // 100  # a call sorts a hundred callbacks by their hosts, each once
        end_one_and_begin_the_next()  # which may also load a script
        for _ in range(5):
            end_one_and_begin_the_next()
            assert calls == ["TIME", "EVALSHA", "EVALSHA", "EVALSHA"]  # when the next try is; note; take; take none
        permits.release(1000)


def test_a_failed_song_that_is_sent_anew_has_only_its_second_end_told(queue: Queue, worker: Workers) -> None:
    with hook() as receiver:
        job = job_with_callback(receiver, "x")
        queue.enqueue(job)
        claim_job(worker()).fail(ERROR)
        [old] = CallbackQueue(queue).take_due(8, hold_seconds=3600)  # another process is about to send it

        queue.enqueue(job)

        assert not CallbackQueue(queue).record_delivery(old, replace(old.delivery, next_at=1))
        end_holds(queue)
        assert not callback_sender(queue).turn()
        lease = claim_job(worker())
        assert not receiver.requests
        lease.succeed()
        assert run_until(callback_sender(queue), queue)["webhook_id"] != old.webhook_id
        assert len(receiver.requests) == 1
