"""Callbacks: what receivers are sent once a job has ended, and what a job's status tells of that."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from standardwebhooks import Webhook

from local import Service
from msas.errors import TooMany
from msas.job import compute_songhash
from msas.options import Options
from msas.queue import Consumer, Queue
from msas.removal import remove
from msas.store import Store
from tests.queue.fixtures import ERROR, claim_job
from tests.support.callbacks import (
    SONGHASH,
    callback_sender,
    delivery_of,
    enqueue_and_succeed,
    hook,
    job_with_callback,
    run_until,
)
from tests.support.http_receivers import Receiver as Hook
from tests.support.http_receivers import answer, receiving
from tests.support.processes import eventually
from tests.support.requests import as_json, new_song

Post = Callable[..., requests.Response]
Workers = Callable[[], Consumer]


# Through the whole service.


def status(service: Service, songhash: str) -> dict[str, Any]:
    found: dict[str, Any] = requests.get(f"{service.url}/apiv1/status/{songhash}", timeout=30).json()
    return found


def delivered(service: Service, songhash: str) -> bool:
    return bool(status(service, songhash)["callback"]["state"] == "delivered")


def test_a_callback_posts_the_callers_data_signed_once_the_job_has_ended(
    service: Service, post: Post, tmp_path: Path
) -> None:
    data = {"mp3": "x.mp3", "note": ["ü", 1.5, None, {}, []], "id": 12345678901234567890}
    song = new_song(tmp_path, 0.6011)
    songhash = compute_songhash(io.BytesIO(song), Options("lite"))
    statuses = []

    def say(connection: Any) -> None:
        statuses.append(status(service, songhash)["status"])
        answer(200)(connection)

    with receiving(say) as receiver:
        post(json=as_json(song, callback={"url": receiver.url, "data": data})).raise_for_status()
        eventually(lambda: delivered(service, songhash), 60)
        [request] = receiver.requests

    assert statuses == ["succeeded"]
    assert request.line == "POST /hook HTTP/1.1"
    assert request.headers["content-type"] == "application/json"
    assert Webhook(service.settings.callback_secret).verify(request.body, request.headers) == data


def test_the_status_tells_how_the_delivery_went(service: Service, post: Post, tmp_path: Path) -> None:
    with receiving(answer(200)) as receiver:
        callback = {"url": receiver.url}
        songhash = post(json=as_json(new_song(tmp_path, 0.6019), callback=callback)).json()["hash"]
        eventually(lambda: delivered(service, songhash), 60)
        [request] = receiver.requests

    found = status(service, songhash)
    delivery = found["callback"]
    assert delivery["webhook_id"] == request.headers["webhook-id"]
    assert delivery["attempts"] == 1
    assert delivery["http_status"] == 200
    assert delivery["error"] is None
    assert delivery["next_at"] is None
    assert delivery["delivered_at"] >= found["ended_at"]
    assert receiver.url not in json.dumps(found)


def received(receiver: Hook, count: int) -> bool:
    return len(receiver.requests) == count


def test_a_song_that_is_separated_already_sends_its_callback_at_once_each_time(
    service: Service, post: Post, tmp_path: Path
) -> None:
    song = new_song(tmp_path, 0.6023)
    with receiving(answer(200)) as receiver:
        for number, data in enumerate((1, 2, 2), start=1):
            sent = post(json=as_json(song, callback={"url": receiver.url, "data": data})).json()
            eventually(partial(received, receiver, number), 60)
            eventually(partial(delivered, service, sent["hash"]), 60)

    assert sent["reason"] == "Song already separated"
    assert [request.body for request in receiver.requests] == [b"1", b"2", b"2"]
    first, second, again = (request.headers["webhook-id"] for request in receiver.requests)
    assert first != second
    assert second == again


def test_a_callback_into_the_private_network_is_refused_and_the_job_succeeds(
    service: Service, post: Post, tmp_path: Path
) -> None:
    url = f"http://[::ffff:10.0.0.1]:{service.settings.redis_port}/"

    songhash = post(json=as_json(new_song(tmp_path, 0.6037), callback={"url": url})).json()["hash"]
    eventually(lambda: status(service, songhash)["callback"]["state"] == "refused", 60)

    found = status(service, songhash)
    assert found["status"] == "succeeded"
    assert found["callback"]["attempts"] == 1
    assert "CALLBACK_ALLOW_HOSTS" in found["callback"]["error"]


# What is sent.


def test_a_callback_without_data_sends_the_jobs_hash_and_status(queue: Queue, worker: Workers) -> None:
    with hook() as receiver:
        queue.enqueue(job_with_callback(receiver))
        claim_job(worker()).fail(ERROR)
        run_until(callback_sender(queue), queue)

    assert json.loads(receiver.requests[0].body) == {"hash": SONGHASH, "status": "failed"}


@pytest.mark.parametrize("data", [0, False, "", [], {}])
def test_data_that_is_empty_is_sent_as_it_is(queue: Queue, worker: Workers, data: object) -> None:
    with hook() as receiver:
        enqueue_and_succeed(queue, worker(), job_with_callback(receiver, data))
        run_until(callback_sender(queue), queue)

    assert json.loads(receiver.requests[0].body) == data


def test_a_callback_is_not_signed_where_the_service_has_no_secret(queue: Queue, worker: Workers) -> None:
    with hook() as receiver:
        enqueue_and_succeed(queue, worker(), job_with_callback(receiver))
        run_until(callback_sender(queue, secret=""), queue)

    names = [name for name in receiver.requests[0].headers if name.startswith("webhook")]
    assert names == ["webhook-id", "webhook-timestamp"]


@pytest.mark.parametrize("url", [None, 7, "", "ftp://a.test/", "http://\ud800/", "http://a.test/\ud800", "http://[/"])
def test_a_foreign_message_with_a_malformed_callback_succeeds_and_its_callback_is_refused(
    queue: Queue, worker: Workers, url: object
) -> None:
    queue.redis.lpush(queue.name, json.dumps({"hash": SONGHASH, "callback": {"url": url, "data": {"\ud800": 1}}}))

    claim_job(worker()).succeed()

    assert run_until(callback_sender(queue), queue, "refused")["attempts"] == 1


def test_a_foreign_message_with_a_callback_has_it_sent(queue: Queue, worker: Workers) -> None:
    with hook() as receiver:
        queue.redis.lpush(queue.name, json.dumps({"hash": SONGHASH, "callback": {"url": receiver.url, "data": 1}}))
        claim_job(worker()).succeed()
        run_until(callback_sender(queue), queue)

    assert receiver.requests[0].body == b"1"


# Several callbacks of one song.


def test_each_callback_of_a_song_is_sent_once_and_the_status_shows_the_last_first(
    queue: Queue, worker: Workers
) -> None:
    with hook() as receiver:
        queue.enqueue(job_with_callback(receiver, "first"))
        queue.enqueue(job_with_callback(receiver, "second"))
        lease = claim_job(worker())
        for data in ("third", "first", "third"):
            queue.enqueue(job_with_callback(receiver, data))
        lease.succeed()
        found = run_until(callback_sender(queue), queue)
        eventually(lambda: [each["state"] for each in delivery_of(queue)["others"]] == ["delivered"] * 2)

    assert sorted(request.body for request in receiver.requests) == [b'"first"', b'"second"', b'"third"']
    [third] = [request for request in receiver.requests if request.body == b'"third"']
    assert found["webhook_id"] == third.headers["webhook-id"]


def test_a_song_has_at_most_100_callbacks_that_are_not_delivered(queue: Queue, worker: Workers) -> None:
    with hook() as receiver:
        for number in range(100):
            queue.enqueue(job_with_callback(receiver, number))

        with pytest.raises(TooMany, match="too many pending callbacks"):
            queue.enqueue(job_with_callback(receiver, 100))
        queue.enqueue(job_with_callback(receiver, 3))  # one of the hundred

        claim_job(worker()).succeed()
        assert callback_sender(queue).turn()
        eventually(lambda: count_delivered(queue) == 1)
        queue.enqueue(job_with_callback(receiver, 100))

    assert len(delivery_of(queue)["others"]) == 99
    assert count_delivered(queue) == 0


def count_delivered(queue: Queue) -> int:
    found = delivery_of(queue)
    return [each["state"] for each in (found, *found["others"])].count("delivered")


def test_the_callbacks_of_a_song_have_at_most_256_kb_in_all(queue: Queue) -> None:
    with hook() as receiver:
        for letter in "abcd":
            queue.enqueue(job_with_callback(receiver, letter * 60_000))

        with pytest.raises(TooMany, match="too many pending callbacks"):
            queue.enqueue(job_with_callback(receiver, "e" * 60_000))
        queue.enqueue(job_with_callback(receiver, "e"))

    assert len(delivery_of(queue)["others"]) == 4


# Jobs that are removed, sent anew or lost.


def test_a_removed_song_has_its_callbacks_removed(service: Service, queue: Queue, worker: Workers) -> None:
    with hook(answer(500)) as receiver:
        enqueue_and_succeed(queue, worker(), job_with_callback(receiver))
        sending = callback_sender(queue)
        assert sending.turn()
        eventually(lambda: delivery_of(queue)["attempts"] == 1)

        remove(queue, Store.from_settings(service.settings), SONGHASH)

        eventually(lambda: not sending.turn())
        assert len(receiver.requests) == 1
        assert not queue.redis.exists(f"{queue.prefix}callbacks")


def test_a_job_that_redis_lost_comes_back_with_its_callback_which_is_sent_once(queue: Queue, worker: Workers) -> None:
    with hook() as receiver:
        job = job_with_callback(receiver, "x")
        queue.enqueue(job, perhaps_lost=True)
        queue.enqueue(job, perhaps_lost=True)
        claim_job(worker()).succeed()
        run_until(callback_sender(queue), queue)

        queue.enqueue(job, perhaps_lost=True)

        assert not callback_sender(queue).turn()
        assert len(receiver.requests) == 1
