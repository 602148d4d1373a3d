"""Servers that go away: REST says so at once, nothing is lost, all goes on when they are back."""

from __future__ import annotations

import base64
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from local import Service
from msas.queue import Queue
from msas_client import Client
from tests.support.audio import RATE, true_waves, write
from tests.support.processes import eventually
from tests.support.requests import problem


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of this file's own, whose servers can be stopped."""
    with Service(tmp_path_factory.mktemp("fragile"), None, {"MODEL_NAME": "lite"}) as running:
        yield running


@contextmanager
def paused(service: Service, name: str) -> Iterator[None]:
    """Stop a server in its tracks: it takes connections and never answers."""
    process = service.children[name].process
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def body(folder: Path, seconds: float) -> dict[str, str]:
    song = write(folder / "song.wav", true_waves()["mixture"][:, RATE : RATE + int(RATE * seconds)])
    return {"mp3": base64.b64encode(song.read_bytes()).decode()}


def test_a_redis_that_hangs_gives_503_with_retry_after(fragile: Service, tmp_path: Path) -> None:
    with paused(fragile, "redis"):
        for path in ("/apiv1/queue", "/readyz", f"/apiv1/status/{'0' * 56}"):
            answer = requests.get(fragile.url + path, timeout=20)
            assert problem(answer) == (503, "queue_unavailable")
            assert int(answer.headers["Retry-After"]) >= 1
        posted = requests.post(f"{fragile.url}/apiv1/separate", json=body(tmp_path, 0.6), timeout=20)
        assert problem(posted) == (503, "queue_unavailable")
        assert requests.get(fragile.url + "/healthz", timeout=5).status_code == 200
    eventually(lambda: requests.get(fragile.url + "/readyz", timeout=20).status_code == 200)


def test_a_redis_that_was_killed_comes_back_with_its_jobs(fragile: Service, tmp_path: Path) -> None:
    client = Client(fragile.address)
    song = write(tmp_path / "long.mp3", true_waves()["mixture"].repeat(4, axis=1), codec="libmp3lame")
    songhash = client.separate(song).songhash
    redis = fragile.children["redis"]
    redis.process.kill()
    redis.process.wait()
    assert problem(requests.get(fragile.url + "/apiv1/queue", timeout=20)) == (503, "queue_unavailable")
    redis.start()
    eventually(lambda: requests.get(fragile.url + "/readyz", timeout=20).status_code == 200)
    assert client.wait(songhash, timeout=60).state == "succeeded"


def test_a_store_that_is_away_gives_503_and_takes_the_song_later(fragile: Service, tmp_path: Path) -> None:
    store = fragile.children["store"]
    store.stop(1)
    for path in ("/readyz",):
        assert problem(requests.get(fragile.url + path, timeout=60)) == (503, "store_unavailable")
    answer = requests.post(f"{fragile.url}/apiv1/separate", json=body(tmp_path, 0.7), timeout=60)
    assert problem(answer) == (503, "store_unavailable")
    assert not any(requests.get(fragile.url + "/apiv1/queue", timeout=20).json().values())
    store.start()

    def taken() -> bool:
        return requests.post(f"{fragile.url}/apiv1/separate", json=body(tmp_path, 0.7), timeout=60).status_code == 200

    eventually(taken, 60)


def test_a_removal_that_met_a_store_that_was_away_can_be_completed_later(fragile: Service, tmp_path: Path) -> None:
    songhash = requests.post(f"{fragile.url}/apiv1/separate", json=body(tmp_path, 0.9), timeout=60).json()["hash"]
    Client(fragile.address).wait(songhash, timeout=60)
    fragile.children["store"].stop(1)
    url = f"{fragile.url}/apiv1/remove/{songhash}"
    assert problem(requests.delete(url, timeout=60)) == (503, "store_unavailable")
    fragile.children["store"].start()
    eventually(lambda: requests.delete(url, timeout=60).status_code == 200, 60)


def test_a_job_whose_store_is_away_is_handed_back_and_done_when_it_is_back(fragile: Service, tmp_path: Path) -> None:
    client = Client(fragile.address)
    song = write(tmp_path / "long.mp3", true_waves()["mixture"].repeat(6, axis=1), codec="libmp3lame")
    songhash = client.separate(song).songhash
    eventually(lambda: client.status(songhash).state == "running")
    store = fragile.children["store"]
    store.stop(1)
    worker_log = fragile.children["worker"].log
    eventually(lambda: f'"job put off", "songhash": "{songhash}"' in worker_log.read_text(), 60)
    store.start()
    assert client.wait(songhash, timeout=120).state == "succeeded"
    assert requests.get(f"{fragile.url}/apiv1/status/{songhash}", timeout=10).json()["attempt"] == 1


def test_no_worker_yet_is_said_so(fragile: Service, tmp_path: Path) -> None:
    with paused(fragile, "worker"):
        Queue.from_settings(fragile.settings).offer(None)
        answer = requests.post(f"{fragile.url}/apiv1/separate", json=body(tmp_path, 0.8), timeout=20)
        assert problem(answer) == (503, "no_worker")
        assert answer.headers["Retry-After"]
    eventually(lambda: requests.get(fragile.url + "/apiv1/models", timeout=20).ok)


def test_rest_fails_fast_where_nobody_listens_for_redis(fragile: Service) -> None:
    """A bound on patience, not a speed test: far above what it takes, far below a client's own time-out."""
    redis = fragile.children["redis"]
    redis.stop(5)
    began = time.monotonic()
    assert requests.get(fragile.url + "/apiv1/queue", timeout=20).status_code == 503
    assert time.monotonic() - began < 10
    redis.start()
    eventually(lambda: requests.get(fragile.url + "/readyz", timeout=20).status_code == 200)
