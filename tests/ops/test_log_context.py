"""What log lines say beside the event: whose job, which attempt, which request, in whatever thread they are logged."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from redis import Redis

from local import Service
from msas_client import Client
from tests.support.another_rest import another_rest
from tests.support.fake_engine import STEMS
from tests.support.processes import eventually
from tests.support.requests import ALICE, API_KEYS
from tests.support.rig import Rig, new_song


def lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def calls(log: Path, request_id: str) -> list[dict[str, Any]]:
    return [line for line in lines(log) if line["event"] == "call" and line["request_id"] == request_id]


@pytest.fixture
def rig(service: Service, tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path / "rig", service.settings) as running:
        yield running


def test_a_workers_lines_from_claim_to_settle_carry_song_attempt_and_request(rig: Rig) -> None:
    worker = rig.worker()
    rig.ready(worker)
    rest = rig.rest()
    body = {"data": new_song(), "headers": {"Content-Type": "audio/wav", "X-Request-Id": "my-own"}}
    answer = requests.post(f"{rig.url}/apiv1/separate?model=sleep-1&format=wav", timeout=30, **body)  # type: ignore[arg-type]
    songhash = answer.json()["hash"]
    eventually(lambda: rig.running(songhash, "separating"))
    rig.redis.process.kill()  # so that the heartbeat has something to log
    eventually(lambda: "heartbeat missed" in worker.log.read_text(), 60)
    rig.restart_redis()
    eventually(lambda: "job succeeded" in worker.log.read_text() or "lease lost" in worker.log.read_text(), 60)
    said = lines(worker.log)
    events = [line["event"] for line in said]
    begin = events.index("job claimed")
    end = next(n for n, event in enumerate(events) if event in ("job succeeded", "lease lost"))
    missed = [line for line in said[begin : end + 1] if line["event"] == "heartbeat missed"]
    assert missed
    for line in (said[begin], *missed, said[end]):
        assert (line["songhash"], line["attempt"], line["request_id"]) == (songhash, 1, "my-own"), line
    assert "songhash" not in said[begin - 1], "before the claim there is no song to name"
    received = [line for line in lines(rest.log) if line["event"] == "song received"]
    assert [(line["songhash"], line["request_id"]) for line in received] == [(songhash, "my-own")]


def test_a_line_of_a_stems_own_thread_carries_the_song(rig: Rig) -> None:
    """The store's client complains in the thread that stores the stem."""
    worker = rig.worker(GRUMBLE="1")
    rig.ready(worker)
    (songhash,) = rig.accept("quick")
    rig.finish([songhash])
    grumbles = [line for line in lines(worker.log) if line["event"] == "grumble"]
    assert {(line["songhash"], line["attempt"]) for line in grumbles} == {(songhash, 1)}
    assert len(grumbles) == len(STEMS) + 1, "the mixture is one of them"


def test_every_call_but_probes_is_logged_with_its_status(service: Service, tmp_path: Path) -> None:
    with another_rest(service, tmp_path, API_KEYS=API_KEYS) as url:
        for path in ("/healthz", "/readyz", "/metrics", "/apiv1/queue", f"/apiv1/status/{'0' * 56}", "/apiv1/nothing"):
            requests.get(url + path, headers={**ALICE, "X-Request-Id": "one-of-six"}, timeout=10)
        requests.get(f"{url}/apiv1/queue", headers={"X-Request-Id": "keyless"}, timeout=10)
    wanted = [
        {"method": "GET", "route": "/apiv1/queue", "status": 200, "key": "alice"},
        {"method": "GET", "route": "/apiv1/status/<songhash>", "status": 404, "key": "alice", "code": "unknown_song"},
        {"method": "GET", "route": "none", "status": 404, "key": "alice", "code": "not_found"},
    ]
    found = calls(tmp_path / "rest.log", "one-of-six")
    assert len(found) == len(wanted)
    for line, facts in zip(found, wanted, strict=True):
        assert facts.items() <= line.items()
        assert 0 <= line["seconds"] < 10
    (refused,) = calls(tmp_path / "rest.log", "keyless")
    assert (refused["status"], refused["code"], "key" in refused) == (401, "unauthorized", False)


def test_lines_of_calls_stay_out_of_the_log_list(client: Client, service: Service, redis: Redis, song: Path) -> None:
    requests.get(f"{service.url}/apiv1/queue", headers={"X-Request-Id": "not-listed"}, timeout=10)
    headers = {"X-Request-Id": "listed", "Content-Type": "audio/mp4"}
    body = song.read_bytes()
    songhash = requests.post(f"{service.url}/apiv1/separate", data=body, headers=headers, timeout=30).json()["hash"]
    client.wait(songhash, timeout=60)

    def listed() -> list[dict[str, Any]]:
        return [json.loads(line) for line in redis.lrange("logging", 0, -1)]

    eventually(lambda: any(line.get("request_id") == "listed" for line in listed()))
    assert "call" not in {line["event"] for line in listed()}
    assert calls(service.children["rest"].log, "not-listed")
    assert calls(service.children["rest"].log, "listed")


def test_a_line_between_two_requests_carries_no_request_id(service: Service, tmp_path: Path) -> None:
    with another_rest(service, tmp_path) as url:
        requests.get(f"{url}/apiv1/queue", headers={"X-Request-Id": "the-first"}, timeout=10)
        host, _, port = url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), 10) as connection:
            connection.sendall(b"no HTTP at all\r\n\r\n")
            assert b"400" in connection.recv(100)
    (complaint,) = [line for line in lines(tmp_path / "rest.log") if line["event"].startswith("Invalid request")]
    assert "request_id" not in complaint


def test_an_error_that_ends_a_thread_or_process_is_logged_as_json() -> None:
    program = (
        "import threading; from msas.logs import log; log.start('rest')\n"
        "def fail(): raise ValueError('in a thread')\n"
        "thread = threading.Thread(target=fail, name='courier'); thread.start(); thread.join()\n"
        "raise KeyError('in main')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert (done.returncode, done.stderr) == (1, "")
    assert (first["level"], first["thread"], first["why"]) == ("critical", "courier", "ValueError: in a thread")
    assert "Traceback" in first["trace"]
    assert (second["thread"], second["why"]) == ("MainThread", "KeyError: 'in main'")
