"""Messages that a worker cannot or must not work on: they go to the dead letters, or are dropped as copies."""

from __future__ import annotations

import json

import pytest

from msas.errors import NotAudio
from msas.job import Status
from msas.queue import Queue
from tests.queue.fixtures import Workers, claim_job, get_status, job


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
    ids=[
        "empty",
        "no-text",
        "null",
        "deeply-nested",
        "no-hash",
        "path-as-hash",
        "number-as-hash",
        "lone-surrogate",
        "utf-16",
        "broken-base64",
        "number-as-data",
    ],
)
def test_a_broken_message_becomes_a_dead_letter_with_its_reason(queue: Queue, worker: Workers, message: bytes) -> None:
    queue.redis.lpush(queue.name, message)
    queue.enqueue(job())
    consumer = worker()

    assert consumer.claim_next() is None

    [dead] = queue.redis.lrange(f"{queue.prefix}dead", 0, -1)
    assert json.loads(dead)["reason"].startswith("the message")
    assert json.loads(dead)["bytes"] == len(message)
    assert claim_job(consumer).job == job()


def test_a_broken_message_whose_worker_repeats_the_burial_is_one_dead_letter(queue: Queue, worker: Workers) -> None:
    queue.redis.lpush(queue.name, b"garbage")
    consumer = worker()
    consumer.claim_next()

    queue.scripts.run("dead_letter", consumer.worker, b"garbage", "{}")

    assert queue.redis.llen(f"{queue.prefix}dead") == 1


def test_a_copy_of_a_running_jobs_message_is_dropped(queue: Queue, worker: Workers) -> None:
    queue.enqueue(job())
    lease = claim_job(worker())
    rival = worker()
    queue.redis.lpush(queue.name, job().message())

    assert rival.claim_next() is None

    assert queue.redis.llen(rival.run_key) == 0
    assert lease.renew() == "ok"
    assert lease.succeed() == "ok"


@pytest.mark.parametrize("ending", [Status.SUCCEEDED, Status.FAILED])
def test_a_copy_of_an_ended_jobs_message_is_dropped(queue: Queue, worker: Workers, ending: Status) -> None:
    queue.enqueue(job())
    lease = claim_job(worker())
    lease.succeed() if ending is Status.SUCCEEDED else lease.fail(NotAudio("No audio."))
    rival = worker()
    queue.redis.lpush(queue.name, job().message())

    assert rival.claim_next() is None

    assert queue.redis.llen(rival.run_key) == 0
    assert get_status(queue) is ending
