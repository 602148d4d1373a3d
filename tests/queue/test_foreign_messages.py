"""Messages that other producers push onto `toWorker`, and what the service's worker makes of them."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from local import Service
from msas.queue import Queue
from msas_client import Client, Refused
from tests.support.audio import RATE, decode, true_waves, write
from tests.support.processes import eventually

DEAD = "{toWorker}:dead"


@pytest.fixture(autouse=True)
def _same_worker(service: Service, redis: Redis, client: Client) -> Iterator[None]:
    """The worker must survive each of these messages, and work on the next."""
    before = service.children["worker"].process.pid
    yield
    assert wait_for_error(client, push(redis, b"the next song")) == "song_missing"
    assert service.children["worker"].alive
    assert service.children["worker"].process.pid == before


def push(redis: Redis, content: bytes, **fields: Any) -> str:
    """Push a message about a song of this content; return its songhash."""
    songhash = hashlib.sha224(content).hexdigest()
    redis.lpush("toWorker", json.dumps({"hash": songhash, **fields}))
    return songhash


def wait_for_error(client: Client, songhash: str) -> str:
    """Wait until the job failed; return the error's code, and remove the job."""

    def ended() -> bool:
        try:
            return client.status(songhash).over
        except Refused:  # the worker has not claimed it yet
            return False

    eventually(ended)
    error = client.status(songhash).error
    client.remove(songhash)
    assert error, "the job has no error"
    return str(error["code"])


def test_a_raw_message_of_the_first_version_is_separated(
    service: Service, redis: Redis, client: Client, tmp_path: Path
) -> None:
    song = write(tmp_path / "song.mp3", true_waves()["mixture"][:, :RATE], codec="libmp3lame").read_bytes()

    songhash = push(redis, song, data=base64.b64encode(song).decode())

    queue = Queue.from_settings(service.settings)
    eventually(lambda: queue.job(songhash))
    assert client.wait(songhash, timeout=60).model == "lite"
    paths = client.download(songhash, tmp_path)
    assert [path.name for path in paths] == [f"{stem}.mp3" for stem in ("vocals", "drums", "bass", "other")]
    assert decode(paths[0]).shape == decode(tmp_path / "song.mp3").shape
    client.remove(songhash)


def test_a_raw_message_whose_song_is_no_audio_fails_as_not_audio(redis: Redis, client: Client) -> None:
    songhash = push(redis, b"words", data=base64.b64encode(b"words" * 1000).decode())

    assert wait_for_error(client, songhash) == "not_audio"


def test_a_message_whose_song_is_not_in_the_store_fails_as_song_missing(redis: Redis, client: Client) -> None:
    songhash = push(redis, b"gone")

    assert wait_for_error(client, songhash) == "song_missing"


def test_a_message_with_an_unknown_model_fails_as_model_unavailable(redis: Redis, client: Client) -> None:
    songhash = push(redis, b"model", data="AAAA", model="someone-else")

    assert wait_for_error(client, songhash) == "model_unavailable"


def test_messages_that_are_no_jobs_become_dead_letters(redis: Redis) -> None:
    before = redis.llen(DEAD)

    for message in (b"garbage", b"null", b"[" * 1_000_000):
        redis.lpush("toWorker", message)

    eventually(lambda: redis.llen(DEAD) == before + 3)
    redis.ltrim(DEAD, 3, -1)
