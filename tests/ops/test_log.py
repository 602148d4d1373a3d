"""Logging: one JSON line an event, to stdout and to the list that `redis-cli` can follow."""

from __future__ import annotations

import json
from pathlib import Path

from redis import Redis

from local import Service
from msas.logs import log
from msas_client import Client
from tests.support.audio import RATE, true_waves, write
from tests.support.processes import eventually


def test_a_job_can_be_followed_from_rest_to_worker_in_the_list_and_on_stdout(
    service: Service, client: Client, redis: Redis, tmp_path: Path
) -> None:
    songhash = client.separate(write(tmp_path / "song.wav", true_waves()["mixture"][:, RATE : RATE + 12_345])).songhash
    client.wait(songhash, timeout=60)

    def story() -> list[tuple[str, str]]:
        lines = [json.loads(line) for line in redis.lrange("logging", 0, -1)]
        return [(line["service"], line["event"]) for line in reversed(lines) if line.get("songhash") == songhash]

    told = {("rest", "song received"), ("worker", "job claimed"), ("worker", "job succeeded")}
    eventually(lambda: set(story()) == told)
    for name in ("rest", "worker"):
        printed = service.children[name].log.read_text()
        assert songhash in printed


def test_every_line_on_stdout_is_json(service: Service) -> None:
    for name in ("rest", "worker"):
        for line in service.children[name].log.read_text().splitlines():
            assert {"time", "service", "level", "event"} <= json.loads(line).keys()


def test_the_log_list_is_capped(client: Client, redis: Redis, tmp_path: Path) -> None:
    redis.lpush("logging", *[json.dumps({"service": "old", "event": "old"})] * (log.LINES_KEPT + 50))
    client.wait(
        client.separate(write(tmp_path / "s.wav", true_waves()["mixture"][:, RATE : RATE + 12_346])).songhash,
        timeout=60,
    )
    eventually(lambda: redis.llen("logging") == log.LINES_KEPT)


def test_no_secret_is_logged(service: Service) -> None:
    for child in ("rest", "worker"):
        assert service.settings.minio_secret_key not in service.children[child].log.read_text()
