"""Messages that other producers push onto `toWorker`."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest
from redis import Redis

from msas_client import Client, Refused
from tests.support.audio import RATE, decode, true_waves, write
from tests.support.processes import eventually

pytestmark = pytest.mark.usefixtures("worker_lives_on")


def known(client: Client, songhash: str) -> bool:
    try:
        return client.status(songhash).over
    except Refused:
        return False


def test_the_first_versions_raw_message_is_separated(redis: Redis, client: Client, tmp_path: Path) -> None:
    song = write(tmp_path / "song.mp3", true_waves()["mixture"][:, RATE:], codec="libmp3lame").read_bytes()
    songhash = hashlib.sha224(song).hexdigest()
    redis.lpush("toWorker", json.dumps({"hash": songhash, "data": base64.b64encode(song).decode()}))
    eventually(lambda: known(client, songhash))
    assert client.wait(songhash, timeout=60).model == "lite"
    paths = client.download(songhash, tmp_path)
    assert [path.name for path in paths] == [f"{s}.mp3" for s in ("vocals", "drums", "bass", "other")]
    assert decode(paths[0]).shape == decode(tmp_path / "song.mp3").shape


def test_a_raw_message_whose_song_is_no_audio_fails_with_the_api_s_own_words(redis: Redis, client: Client) -> None:
    songhash = hashlib.sha224(b"words").hexdigest()
    redis.lpush("toWorker", json.dumps({"hash": songhash, "data": base64.b64encode(b"words" * 1000).decode()}))
    eventually(lambda: known(client, songhash))
    error = client.status(songhash).error
    assert error
    assert error["code"] == "not_audio"


def test_a_message_whose_song_is_not_in_the_store_fails_and_says_so(redis: Redis, client: Client) -> None:
    songhash = hashlib.sha224(b"gone").hexdigest()
    redis.lpush("toWorker", json.dumps({"hash": songhash}))
    eventually(lambda: known(client, songhash))
    error = client.status(songhash).error
    assert error
    assert error["code"] == "song_missing"


def test_a_message_that_asks_for_a_model_we_do_not_have_fails_and_says_so(redis: Redis, client: Client) -> None:
    songhash = hashlib.sha224(b"model").hexdigest()
    redis.lpush("toWorker", json.dumps({"hash": songhash, "data": "AAAA", "model": "someone-else"}))
    eventually(lambda: known(client, songhash))
    error = client.status(songhash).error
    assert error
    assert error["code"] == "model_unavailable"


def test_garbage_does_not_stop_the_worker_and_is_kept_with_its_reason(redis: Redis) -> None:
    before = redis.llen("{toWorker}:dead")
    for message in (b"garbage", b"null", b"[" * 1_000_000):
        redis.lpush("toWorker", message)
    eventually(lambda: redis.llen("{toWorker}:dead") == before + 3)
