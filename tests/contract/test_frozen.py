"""Freezes songhashes, messages, Redis keys, object keys, routes, answers, setting names and the client's attributes."""

from __future__ import annotations

import io
import json
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import requests
from flask import abort
from redis import Redis

from local import Service
from msas.errors import Problem
from msas.job import Job, compute_songhash
from msas.models import CATALOGUE
from msas.options import Options
from msas.queue import CallbackQueue, Consumer, Leader, Lease, ModelLoad, ModelLoads, ModelSpeeds, Queue, UpkeepRecord
from msas.queue.callback_record import DeliveryState, webhook_id
from msas.report import Report
from msas.settings import Settings
from msas.store import Store
from msas_client import Client, Failed, MsasError, NotReachable, Refused
from rest.app import create_app
from tests.contract import frozen
from tests.support.faults import own_redis

MODELS = tuple(CATALOGUE.values())
CALLBACK = {"url": "http://hook.test/", "data": {"number": 1}}
FULL_JOB = Job("4" * 56, Options("lite", format="flac"), "song.mp3", CALLBACK, 1.5, "alice", "request-1")
JOBS = [
    Job("1" * 56, name="song.mp3"),
    Job("2" * 56, Options("htdemucs", stems=("vocals", "bass"), shifts=1), "söng.mp3"),
    Job("3" * 56, Options("lite"), "song.mp3", {"url": "http://hook.test/", "data": None}),
    FULL_JOB,
]
ERROR = Problem("It went wrong.")
Workers = Callable[[], Consumer]


def take(worker: Workers) -> Lease:
    lease = worker().claim_next()
    assert lease, "a job waits"
    return lease


def get_contract(service: Service) -> dict[str, Any]:
    return cast(dict[str, Any], requests.get(f"{service.url}/apiv1/openapi.json", timeout=60).json())


# Songs and options


def test_songhash_of_fixed_bytes_and_each_option_is_unchanged() -> None:
    options = {request: Options.from_fields(json.loads(request), MODELS, "lite") for request in frozen.SONGHASHES}

    found = {
        request: compute_songhash(io.BytesIO(b"a song of fixed bytes"), chosen) for request, chosen in options.items()
    }

    assert found == frozen.SONGHASHES
    assert {field.name for field in fields(Options)} == {name for text in found for name in json.loads(text)}


def test_songhash_of_a_posted_song_is_unchanged(separated: str) -> None:
    assert separated == frozen.POSTED_SONGHASH


def test_options_left_out_take_their_defaults() -> None:
    assert asdict(Options.from_fields({}, MODELS, "lite")) == frozen.OPTION_DEFAULTS


def test_request_in_json_has_these_fields_and_allowed_values(service: Service) -> None:
    body = get_contract(service)["paths"]["/apiv1/separate"]["post"]["requestBody"]["content"]["application/json"]

    found = {name: " ".join(map(str, each.get("enum", ()))) for name, each in body["schema"]["properties"].items()}

    assert found == frozen.REQUEST_FIELDS


def test_models_yield_these_stems() -> None:
    assert {model.name: " ".join(model.stems) for model in MODELS} == frozen.MODELS


# Messages and Redis


def test_messages_of_jobs_land_in_redis_byte_for_byte(redis: Redis, queue: Queue) -> None:
    for job in JOBS:
        queue.enqueue(job)

    in_list = [message for job, message in zip(JOBS, frozen.QUEUED_MESSAGES, strict=True) if not job.owner]
    assert redis.lrange(queue.name, 0, -1) == in_list[::-1]
    assert [redis.hget(queue.job_key(job.songhash), "message") for job in JOBS] == frozen.QUEUED_MESSAGES


def test_messages_that_lie_beside_songs_hold_the_callback_byte_for_byte() -> None:
    assert [job.message() for job in JOBS] == frozen.MESSAGES


def test_messages_that_an_earlier_version_wrote_are_read_in_full() -> None:
    assert [Job.from_message(message) for message in frozen.MESSAGES] == JOBS


def test_messages_of_the_first_version_are_read_with_their_song() -> None:
    found = [Job.from_message(message) for message in frozen.FIRST_MESSAGES]

    assert found == [Job("1" * 56, song=b"song"), Job("1" * 56, Options("htdemucs"), song=b"song")]


def list_keys(redis: Redis, pattern: str, queue: str) -> dict[str, str]:
    """Return the keys with their types; the queue's name is `Q`, others are SONGHASH, WORKER, OWNER, HOST, NAME."""
    found = {}
    for key in cast(list[bytes], redis.keys(pattern)):
        name = re.sub(r"run:.*", "run:WORKER", re.sub(r"[0-9a-f]{56}", "SONGHASH", key.decode()))
        name = re.sub(r"line:.*", "line:OWNER", name)
        name = re.sub(r"callbacks:.*", "callbacks:HOST", name)
        name = re.sub(r"parked:.*", "parked:NAME", name, flags=re.DOTALL)
        found[name.replace(queue, "Q")] = cast(bytes, redis.type(key)).decode()
    return found


def test_queue_that_met_every_event_has_these_redis_keys_and_no_others(settings: Settings) -> None:
    redis = Redis(connection_pool=own_redis())
    redis.flushall()
    own = replace(settings, redis_port=redis.get_connection_kwargs()["port"], lease_seconds=600, retry_seconds=600)
    queue = Queue.from_settings(own)
    worker: Workers = partial(Consumer.from_settings, own)
    queue.reclaim()
    leader = Leader(queue, 60, "leader")
    leader.acquire_leadership()
    leader.record_upkeep(cursor="-")
    UpkeepRecord(queue).note_received("0" * 56, 1)
    jobs = [replace(FULL_JOB, songhash=f"{number:056x}") for number in range(7)]
    for job in (jobs[0], jobs[5]):
        queue.enqueue(job)
        take(worker).succeed()
    CallbackQueue(queue).take_due(1, 60)
    queue.enqueue(jobs[1])
    take(worker).retry(ERROR)
    queue.enqueue(jobs[2])
    queue.cancel(jobs[2].songhash, "remover")
    redis.lpush(queue.name, "no job")
    worker().claim_next()
    queue.enqueue(jobs[3])
    take(worker)
    queue.enqueue(jobs[4])
    lost = worker()
    lost.renew(None)
    redis.lmove(queue.name, lost.run_key, "RIGHT", "LEFT")
    lost.deregister()
    queue.enqueue(jobs[6])
    other = worker()
    other.advertise_models({"models": [{"name": "another model"}], "default": "another model"})
    other.claim_next()
    ModelSpeeds(queue).record("lite", "CPU", 1.0)
    ModelLoads(queue).record(ModelLoad("lite", 1, 2))
    for number in (7, 8):
        queue.enqueue(replace(jobs[6], songhash=f"{number:056x}"))

    found = list_keys(redis, "*", queue.name)

    assert found == frozen.REDIS_KEYS


def test_service_itself_writes_no_other_redis_keys(redis: Redis, separated: str) -> None:
    found = list_keys(redis, "{toWorker}:*", "toWorker")

    assert found.items() <= frozen.REDIS_KEYS.items()
    assert redis.hget(f"{{toWorker}}:job:{separated}", "status") == b"succeeded"


def test_calls_with_an_api_key_are_counted_under_this_redis_key(redis: Redis, settings: Settings) -> None:
    client = create_app(replace(settings, api_keys=frozen.SETTINGS["API_KEYS"][1])).test_client()

    answer = client.get("/apiv1/queue", headers={"X-API-Key": "key"})

    found = list_keys(redis, f"*{settings.work_queue}*", settings.work_queue)
    assert (answer.status_code, found) == (200, frozen.RATE_LIMIT_KEYS)


class JobHash:
    """The Redis hash of a job that is enqueued with every field that a request can fill."""

    def __init__(self, redis: Redis, queue: Queue, number: int) -> None:
        self.job = replace(FULL_JOB, songhash=f"{number:056x}")
        self._redis, self._key = redis, queue.job_key(self.job.songhash)
        queue.enqueue(self.job)

    def values(self) -> dict[str, str]:
        """Return the fields with their values; a time is MS, a random token TOKEN, the callback's id ID."""
        found = cast(dict[bytes, bytes], self._redis.hgetall(self._key))
        text = json.dumps({name.decode(): value.decode() for name, value in found.items()})
        text = re.sub(r"\b1\d{12}\b", "MS", text.replace(frozen.CALLBACK_ID, "ID"))
        return cast(dict[str, str], json.loads(re.sub(r'"[0-9a-f]{16}"', '"TOKEN"', text)))

    def names(self) -> str:
        return " ".join(sorted(self.values()))


def test_job_hash_has_these_fields_at_each_step(redis: Redis, queue: Queue, worker: Workers) -> None:
    names = {}
    first = JobHash(redis, queue, 1)
    names["queued"] = first.names()
    lease = take(worker)
    names["running"] = first.names()
    lease.succeed()
    names["succeeded"] = first.names()
    [pending] = CallbackQueue(queue).take_due(1, 60)
    names["callback in delivery"] = first.names()
    CallbackQueue(queue).record_delivery(pending, pending.delivery)
    status = queue.job(first.job.songhash)
    assert status
    queue.note_stem_removed(status)
    names["callback over, stem removed"] = first.names()
    second = JobHash(redis, queue, 2)
    take(worker).fail(ERROR)
    names["failed"] = second.names()
    third = JobHash(redis, queue, 3)
    take(worker).postpone(ERROR)
    names["waiting for a server"] = third.names()
    fourth = JobHash(redis, queue, 4)
    take(worker)
    queue.cancel(fourth.job.songhash, "remover")
    names["cancelled while running"] = fourth.names()

    assert names == frozen.JOB_FIELDS


def test_job_hash_has_these_fields_after_less_common_steps(redis: Redis, queue: Queue, worker: Workers) -> None:
    first = JobHash(redis, queue, 1)
    take(worker).release()
    names = {"handed back": first.names()}
    queue.cancel(first.job.songhash, "remover")
    names["cancelled while queued"] = first.names()
    second = JobHash(redis, queue, 2)
    take(worker).retry(ERROR)
    names["waiting for its next attempt"] = second.names()
    queue.restore_result(second.job.songhash, 1, is_incomplete=True)
    names["published from the store"] = second.names()

    assert names == frozen.LESS_COMMON_JOB_FIELDS


def test_job_hash_holds_values_in_this_form(redis: Redis, queue: Queue, worker: Workers) -> None:
    job = JobHash(redis, queue, 1)
    before = job.values()
    take(worker).succeed()
    [pending] = CallbackQueue(queue).take_due(1, 60)
    CallbackQueue(queue).record_delivery(pending, replace(pending.delivery, attempts=1, next_at=queue.now()))

    after = job.values()

    assert {**before, **after} == frozen.JOB_VALUES


def test_callbacks_are_delivered_in_these_states() -> None:
    assert " ".join(DeliveryState) == frozen.DELIVERY_STATES


def test_webhook_id_of_a_callback_is_unchanged() -> None:
    assert webhook_id("4" * 56, frozen.CALLBACK_ID, "1700000000000") == frozen.WEBHOOK_ID


def test_due_callbacks_stand_as_songhash_and_then_with_id(redis: Redis, queue: Queue, worker: Workers) -> None:
    queue.enqueue(FULL_JOB)
    take(worker).succeed()
    ended = redis.zrange(f"{{{queue.name}}}:callbacks", 0, -1)

    CallbackQueue(queue).take_due(1, 60)

    taken = redis.zrange(f"{{{queue.name}}}:callbacks", 0, -1)
    assert (ended, taken) == ([b"4" * 56], [b"4" * 56 + frozen.CALLBACK_ID.encode()])


def test_job_whose_worker_left_has_this_error_code(queue: Queue, worker: Workers) -> None:
    queue.enqueue(FULL_JOB)
    lost = worker()
    take(lambda: lost)

    lost.deregister()

    status = queue.job(FULL_JOB.songhash)
    assert status
    assert (status.error or {})["code"] == "worker_lost"


def test_dead_letters_have_these_fields(redis: Redis, queue: Queue, worker: Workers) -> None:
    redis.lpush(queue.name, "no job")
    worker().claim_next()
    queue.enqueue(FULL_JOB)
    redis.hset(queue.job_key(FULL_JOB.songhash), "attempt", 2)
    take(worker).retry(ERROR)

    entries = cast(list[bytes], redis.lrange(f"{{{queue.name}}}:dead", 0, -1))

    assert [" ".join(sorted(json.loads(entry))) for entry in entries] == frozen.DEAD_LETTERS


def test_log_lines_in_redis_begin_with_these_fields(redis: Redis, separated: str) -> None:
    lines = [line for line in cast(list[bytes], redis.lrange("logging", 0, -1)) if separated.encode() in line]

    assert {" ".join(list(json.loads(line))[:4]) for line in lines} == {"time service level event"}


# The store


def list_objects(store: Store, bucket: str, songhash: str, prefix: str = "") -> dict[str, str | None]:
    """Return what each key that begins with `prefix` adds to the songhash, with the object's content type."""
    keys = [str(found.object_name) for found in store.minio.list_objects(bucket, prefix, recursive=True)]
    return {key.removeprefix(songhash): store.minio.stat_object(bucket, key).content_type for key in keys}


@pytest.fixture
def own_store(settings: Settings) -> Iterator[Store]:
    """The service's store with two empty buckets, which are removed afterwards with all that they hold."""
    nonce = secrets.token_hex(4)
    store = Store.from_settings(replace(settings, bucket_in=f"in-{nonce}", bucket_out=f"out-{nonce}"))
    yield store
    for bucket in (store.bucket_in, store.bucket_out):
        for found in store.minio.list_objects(bucket, recursive=True):
            store.minio.remove_object(bucket, str(found.object_name))
        store.minio.remove_bucket(bucket)


def test_objects_have_these_keys_and_content_types(own_store: Store) -> None:
    store, song = own_store, "1" * 56
    store.put_song(song, io.BytesIO(b"song"), 4)
    store.put_message(song, b"{}")
    for extension in ("mp3", "wav", "flac"):
        store.put_stem(song, "vocals", extension, io.BytesIO(b"stem"))
    store.put_peaks({"hash": song})
    store.put_report(Report(songhash=song, name="", options=Options("lite"), model="lite", stems=()))

    found = {"in": list_objects(store, store.bucket_in, song), "out": list_objects(store, store.bucket_out, song)}

    assert found == frozen.OBJECTS


def test_separated_song_lies_under_these_keys(service: Service, separated: str) -> None:
    store = Store.from_settings(service.settings)

    found = list_objects(store, "output", separated, separated)

    assert found == frozen.SEPARATED_OBJECTS
    assert "" in list_objects(store, "queue", separated, separated)


# REST


def test_routes_have_these_methods() -> None:
    found: dict[str, set[str]] = {}
    for rule in create_app(Settings()).url_map.iter_rules():
        found.setdefault(rule.rule, set()).update(rule.methods or ())

    assert {route: " ".join(sorted(methods - {"OPTIONS"})) for route, methods in found.items()} == frozen.ROUTES


@pytest.mark.parametrize("path", frozen.CALLS)
def test_path_as_existing_clients_call_it_is_served(service: Service, separated: str, path: str) -> None:
    url = service.url + path.replace("SONGHASH", separated)

    answer = requests.get(url, data="null", headers={"Content-type": "application/json"}, timeout=60)

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, frozen.CALLS[path])


def test_answers_have_these_fields(service: Service) -> None:
    schemas = get_contract(service)["components"]["schemas"]

    found = {name: " ".join(each.get("enum") or sorted(each["properties"])) for name, each in schemas.items()}

    assert found == frozen.ANSWERS


def test_parts_of_a_status_that_the_contract_leaves_open_have_these_fields(
    service: Service, separated: str, fixed_song: Path
) -> None:
    with Client(service.address) as client:
        client.separate(fixed_song, callback={"url": "http://127.0.0.1:1/"})

    status = requests.get(f"{service.url}/apiv1/status/{separated}", timeout=60).json()

    parts = {"report": status["report"], "stem": status["report"]["stems"]["vocals"], "callback": status["callback"]}
    assert {name: " ".join(sorted(set(part) - {"others"})) for name, part in parts.items()} == frozen.OPEN_PARTS


# Errors that Flask finds, settings, the client's objects


def test_errors_that_flask_finds_have_these_codes() -> None:
    app = create_app(Settings())
    app.add_url_rule("/abort/<int:code>", view_func=abort)
    client = app.test_client()

    answers = [client.get(f"/abort/{status}") for status in frozen.FLASK_ERRORS]

    assert {answer.status_code: answer.get_json()["code"] for answer in answers} == frozen.FLASK_ERRORS


def test_settings_are_these_and_no_others() -> None:
    assert sorted(field.name.upper() for field in fields(Settings)) == sorted(frozen.SETTINGS)


def test_objects_of_the_client_have_these_public_attributes() -> None:
    errors = [MsasError("Why."), NotReachable("Why."), Refused("Why.", "code", 503), Failed("Why.", "code")]
    with Client("host:1") as client:
        objects = [client, client.job("songhash"), *errors]

    found = {type(each).__name__: sorted(name for name in vars(each) if name[0] != "_") for each in objects}

    assert {name: " ".join(attributes) for name, attributes in found.items()} == frozen.CLIENT_ATTRIBUTES
