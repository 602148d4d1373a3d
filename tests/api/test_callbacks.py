"""What somebody who asked to be called back can count on, and what nobody can do with it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

import pytest
import requests
from standardwebhooks import Webhook

from local import Service
from msas.callbacks import Courier
from msas.job import Job
from msas.options import Options
from msas.problem import TooMany
from msas.queue import Lease, Outbox, Queue, Receiver
from msas.reconcile import remove
from msas.store import Store
from tests.queue.fixtures import ERROR, report, taken
from tests.support.callbacks import SECRET, courier, going, hook
from tests.support.http_receivers import Receiver as Hook
from tests.support.http_receivers import answer, receiving
from tests.support.processes import eventually
from tests.support.requests import as_json, new_song

Post = Callable[..., requests.Response]
Workers = Callable[[], Receiver]


def asking(hook: Hook, data: Any = None, host: str = "a.test") -> Job:
    callback = {"url": f"http://{host}:{hook.port}/hook", "data": data}
    return Job(f"{0:056x}", Options("lite"), "song 0.mp3", callback)


def ended(queue: Queue, worker: Workers, job: Job) -> None:
    """Let a job run and succeed."""
    queue.enqueue(job)
    taken(worker()).succeed(report())


def record(queue: Queue) -> dict[str, Any]:
    status = queue.status(f"{0:056x}")
    assert status
    assert status.callback
    return status.callback


def carried(courier: Courier, queue: Queue, state: str = "delivered") -> dict[str, Any]:
    """Let the courier go until the delivery is in this state; return the record of it."""
    going(courier, lambda: record(queue)["state"] == state)
    return record(queue)


# Through the whole service.


def status(service: Service, songhash: str) -> dict[str, Any]:
    found: dict[str, Any] = requests.get(f"{service.url}/apiv1/status/{songhash}", timeout=10).json()
    return found


def told(service: Service, songhash: str, state: str) -> bool:
    return bool(status(service, songhash)["callback"]["state"] == state)


def told_of(receiver: Hook, count: int) -> bool:
    return len(receiver.requests) == count


def test_the_callers_own_data_is_posted_signed_once_the_job_has_ended(
    service: Service, post: Post, tmp_path: Any
) -> None:
    data = {"mp3": "x.mp3", "note": ["ü", 1.5, None, {}, []], "id": 12345678901234567890}
    states = []

    def say(connection: Any) -> None:
        states.append(status(service, songhash)["status"])
        answer(200)(connection)

    with receiving(say) as receiver:
        callback = {"url": receiver.url, "data": data}
        songhash = post(json=as_json(new_song(tmp_path, 0.6011), callback=callback)).json()["hash"]
        assert status(service, songhash)["callback"]["state"] in ("waiting", "delivered")
        eventually(lambda: told(service, songhash, "delivered"))
        [request] = receiver.requests
    assert states == ["succeeded"]
    assert request.line == "POST /hook HTTP/1.1"
    assert request.headers["content-type"] == "application/json"
    assert Webhook(service.settings.callback_secret).verify(request.body, request.headers) == data
    delivery = status(service, songhash)["callback"]
    assert delivery["webhook_id"] == request.headers["webhook-id"]
    assert (delivery["attempts"], delivery["http_status"], delivery["error"], delivery["next_at"]) == (
        1,
        200,
        None,
        None,
    )
    assert delivery["delivered_at"] >= status(service, songhash)["ended_at"]


def test_who_asks_when_the_song_is_separated_already_is_told_at_once_again_too(
    service: Service, post: Post, tmp_path: Any
) -> None:
    song = new_song(tmp_path, 0.6023)
    with receiving(answer(200)) as receiver:
        for number, data in enumerate((1, 2, 2), start=1):
            sent = post(json=as_json(song, callback={"url": receiver.url, "data": data})).json()
            eventually(partial(told_of, receiver, number))
            eventually(partial(told, service, sent["hash"], "delivered"))
        assert sent["reason"] == "Song already separated"
        assert [request.body for request in receiver.requests] == [b"1", b"2", b"2"]
        first, second, again = (request.headers["webhook-id"] for request in receiver.requests)
        assert first != second == again


def test_a_callback_into_our_own_network_harms_no_job_and_is_refused_on_record(
    service: Service, post: Post, tmp_path: Any
) -> None:
    url = f"http://[::ffff:10.0.0.1]:{service.settings.redis_port}/"
    songhash = post(json=as_json(new_song(tmp_path, 0.6037), callback={"url": url})).json()["hash"]
    eventually(lambda: told(service, songhash, "refused"))
    found = status(service, songhash)
    assert (found["status"], found["callback"]["attempts"]) == ("succeeded", 1)
    assert "CALLBACK_ALLOW_HOSTS" in found["callback"]["error"]


# What is sent.


def test_who_gave_no_data_is_told_which_job_it_is_and_how_it_ended(queue: Queue, worker: Workers) -> None:
    with hook() as receiver:
        queue.enqueue(asking(receiver))
        taken(worker()).fail(ERROR)
        carried(courier(queue), queue)
        assert json.loads(receiver.requests[0].body) == {"hash": f"{0:056x}", "status": "failed"}


@pytest.mark.parametrize("data", [0, False, "", [], {}])
def test_data_that_is_empty_is_data(queue: Queue, worker: Workers, data: object) -> None:
    with hook() as receiver:
        ended(queue, worker, asking(receiver, data))
        carried(courier(queue), queue)
        assert json.loads(receiver.requests[0].body) == data


def test_without_a_secret_there_is_an_id_and_a_time_but_no_signature(queue: Queue, worker: Workers) -> None:
    with hook() as receiver:
        ended(queue, worker, asking(receiver))
        carried(courier(queue, secret=""), queue)
        names = [name for name in receiver.requests[0].headers if name.startswith("webhook")]
        assert names == ["webhook-id", "webhook-timestamp"]


# When it does not come off.


def test_it_is_tried_again_under_the_same_id_until_it_is_taken(queue: Queue, worker: Workers) -> None:
    with hook(answer(500), answer(302, "Location: http://a.test/"), answer(200)) as receiver:
        ended(queue, worker, asking(receiver, "x"))
        found = carried(courier(queue), queue)
        assert (found["attempts"], found["http_status"], found["error"]) == (3, 200, None)
        assert {request.headers["webhook-id"] for request in receiver.requests} == {found["webhook_id"]}
        for request in receiver.requests:
            assert Webhook(SECRET).verify(request.body, request.headers) == "x"


def test_while_it_waits_the_record_says_why_and_until_when(queue: Queue, worker: Workers) -> None:
    with hook(answer(503)) as receiver:
        ended(queue, worker, asking(receiver))
        assert record(queue)["next_at"] is None
        sending = courier(queue, waits=(3600,))
        going(sending, lambda: record(queue)["attempts"])
        found, status = record(queue), queue.status(f"{0:056x}")
        assert (found["state"], found["error"]) == ("waiting", "The receiver answered 503.")
        assert status
        assert status.ended_at
        assert 3600 <= seconds(found["next_at"]) - status.ended_at.timestamp() < 4000
        assert not sending.turn()


def seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def test_after_the_last_try_it_is_given_up(queue: Queue, worker: Workers) -> None:
    with hook(answer(404)) as receiver:
        ended(queue, worker, asking(receiver))
        found = carried(courier(queue), queue, "given_up")
        assert (found["attempts"], found["error"], found["next_at"]) == (3, "The receiver answered 404.", None)
        assert len(receiver.requests) == 3
        assert not courier(queue).turn()


def test_a_receiver_that_says_gone_is_not_asked_again(queue: Queue, worker: Workers) -> None:
    with hook(answer(410)) as receiver:
        ended(queue, worker, asking(receiver))
        assert carried(courier(queue), queue, "given_up")["attempts"] == 1


@pytest.mark.parametrize("url", [None, 7, "", "ftp://a.test/", "http://\ud800/", "http://a.test/\ud800", "http://[/"])
def test_a_message_of_a_stranger_with_an_odd_callback_is_served_and_that_refused(
    queue: Queue, worker: Workers, url: object
) -> None:
    message = json.dumps({"hash": f"{0:056x}", "callback": {"url": url, "data": {"\ud800": 1}}})
    queue.redis.lpush(queue.name, message)
    taken(worker()).succeed(report())
    assert carried(courier(queue), queue, "refused")["attempts"] == 1


def test_a_message_of_a_stranger_with_a_good_callback_is_told_of_its_end(queue: Queue, worker: Workers) -> None:
    with hook() as receiver:
        queue.redis.lpush(queue.name, json.dumps({"hash": f"{0:056x}", "callback": {"url": receiver.url, "data": 1}}))
        taken(worker()).succeed(report())
        carried(courier(queue), queue)
        assert receiver.requests[0].body == b"1"


# Who sends it.


def test_what_a_process_had_in_hands_when_it_was_killed_another_sends(queue: Queue, worker: Workers) -> None:
    with hook() as receiver:
        ended(queue, worker, asking(receiver))
        [lost] = Outbox(queue).take(8, hold_seconds=0.2)
        assert not courier(queue).turn()
        found = carried(courier(queue), queue)
        assert (found["webhook_id"], found["attempts"], len(receiver.requests)) == (lost.webhook_id, 1, 1)


def test_what_a_process_notes_too_late_changes_nothing(queue: Queue, worker: Workers) -> None:
    with hook() as receiver:
        ended(queue, worker, asking(receiver))
        [late] = Outbox(queue).take(8, hold_seconds=0.1)
        before = carried(courier(queue), queue)
        assert not Outbox(queue).note(late, replace(late.delivery, attempts=7, next_at=1))
        assert record(queue) == before
        assert not courier(queue).turn()


def test_several_processes_send_each_callback_once(queue: Queue, worker: Workers) -> None:
    jobs = [Job(f"{number:056x}", Options("lite")) for number in range(12)]
    with hook() as receiver:
        for job in jobs:
            queue.enqueue(replace(job, callback={"url": f"http://{job.songhash[-2:]}.test:{receiver.port}/"}))
            taken(worker()).succeed({**report(), "hash": job.songhash})
        couriers = [courier(queue) for _ in range(3)]

        def all_told() -> bool:
            going = [each.turn() for each in couriers]
            found = [queue.status(job.songhash) for job in jobs]
            return not any(going) and all(each and each.callback and each.callback["delivered_at"] for each in found)

        eventually(all_told, 10)
        assert len({request.headers["webhook-id"] for request in receiver.requests}) == len(receiver.requests) == 12


def test_a_receiver_that_is_slow_does_not_hold_the_others(queue: Queue, worker: Workers) -> None:
    let_go = threading.Event()
    with receiving(lambda _: let_go.wait(30)) as slow, hook() as quick:
        for number in range(20):
            receiver, host = (slow, "slow.test") if number < 19 else (quick, "quick.test")
            job = replace(asking(receiver, host=host), songhash=f"{number:056x}")
            queue.enqueue(job)
            taken(worker()).succeed({**report(), "hash": job.songhash})
        sending = courier(queue, seconds=30)
        going(sending, lambda: quick.requests)
        assert len(slow.requests) < 8
        let_go.set()


def test_a_callback_that_waits_touches_nothing_of_the_job(queue: Queue, worker: Workers) -> None:
    with hook(answer(500)) as receiver:
        ended(queue, worker, asking(receiver))
        before = queue.status(f"{0:056x}")
        carried(courier(queue), queue, "given_up")
        after = queue.status(f"{0:056x}")
        assert before
        assert after
        assert replace(before, callback=None) == replace(after, callback=None)


# Several callers; jobs that go.


def test_everybody_who_asked_for_the_song_is_told_and_sees_his_own_first(queue: Queue, worker: Workers) -> None:
    with hook() as receiver:
        queue.enqueue(asking(receiver, "first"))
        queue.enqueue(asking(receiver, "second"))
        lease = taken(worker())
        for data in ("third", "first", "third"):
            queue.enqueue(asking(receiver, data))
        lease.succeed(report())
        found = carried(courier(queue), queue)
        eventually(lambda: [each["state"] for each in record(queue)["others"]] == ["delivered"] * 2, 10)
        assert sorted(request.body for request in receiver.requests) == [b'"first"', b'"second"', b'"third"']
        [third] = [request for request in receiver.requests if request.body == b'"third"']
        assert found["webhook_id"] == third.headers["webhook-id"]


def test_a_song_has_a_hundred_callbacks_at_most_and_those_that_are_over_make_room(
    queue: Queue, worker: Workers
) -> None:
    with hook() as receiver:
        for number in range(100):
            queue.enqueue(asking(receiver, number))
        with pytest.raises(TooMany, match="as many callbacks"):
            queue.enqueue(asking(receiver, 100))
        queue.enqueue(asking(receiver, 3))  # known already
        taken(worker()).succeed(report())
        sending = courier(queue)
        assert sending.turn()
        eventually(lambda: delivered(queue) == 1, 10)
        queue.enqueue(asking(receiver, 100))
        assert (len(record(queue)["others"]), delivered(queue)) == (99, 0)


def test_the_callbacks_of_a_song_have_256_kb_in_all(queue: Queue) -> None:
    with hook() as receiver:
        for letter in "abcd":
            queue.enqueue(asking(receiver, letter * 60_000))
        with pytest.raises(TooMany, match="as many callbacks"):
            queue.enqueue(asking(receiver, "e" * 60_000))
        queue.enqueue(asking(receiver, "e"))


def delivered(queue: Queue) -> int:
    found = record(queue)
    return [each["state"] for each in (found, *found["others"])].count("delivered")


def test_a_song_that_is_deleted_takes_its_callbacks_along(service: Service, queue: Queue, worker: Workers) -> None:
    with hook(answer(500)) as receiver:
        ended(queue, worker, asking(receiver))
        sending = courier(queue)
        assert sending.turn()
        eventually(lambda: record(queue)["attempts"] == 1, 10)
        remove(queue, Store.from_settings(service.settings), f"{0:056x}")
        eventually(lambda: not sending.turn(), 10)
        assert len(receiver.requests) == 1
        assert not queue.redis.exists(f"{queue.prefix}callbacks")


def test_a_song_that_failed_and_is_sent_anew_is_told_of_its_second_end_alone(queue: Queue, worker: Workers) -> None:
    with hook() as receiver:
        job = asking(receiver, "x")
        queue.enqueue(job)
        taken(worker()).fail(ERROR)
        [old] = Outbox(queue).take(8, hold_seconds=0.1)  # somebody is just about to send it
        queue.enqueue(job)
        assert not Outbox(queue).note(old, replace(old.delivery, next_at=1))
        eventually(lambda: not queue.redis.exists(f"{queue.prefix}callbacks") or courier(queue).turn(), 10)
        lease: Lease = taken(worker())
        assert not receiver.requests
        lease.succeed(report())
        assert carried(courier(queue), queue)["webhook_id"] != old.webhook_id
        assert len(receiver.requests) == 1


def test_a_job_that_redis_forgot_comes_back_with_its_callback(queue: Queue, worker: Workers) -> None:
    with hook() as receiver:
        message = asking(receiver, "x").message()
        queue.enqueue(Job.from_message(message), perhaps_lost=True)
        queue.enqueue(Job.from_message(message), perhaps_lost=True)
        taken(worker()).succeed(report())
        carried(courier(queue), queue)
        queue.enqueue(Job.from_message(message), perhaps_lost=True)  # the reconciler asks for nothing twice
        assert not courier(queue).turn()
        assert len(receiver.requests) == 1
