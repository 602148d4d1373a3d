"""The pods of k8s/overlays/local: a song is separated, and no job is lost with a pod."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import requests

from local.demo import default_song
from msas_client import Client
from tests.containers.conftest import SECRET
from tests.containers.podman import ROOT, Podman
from tests.containers.pods import Pods
from tests.support.audio import true_waves, write
from tests.support.manifests import container, of_kind, overlay
from tests.support.processes import eventually

WAITED_FOR = (("redis-0", "readinessProbe"), ("rest-0", "readinessProbe"), ("worker-0", "livenessProbe"))
VARIABLES = {"MODEL_NAME": "lite", "LEASE_SECONDS": "8", "BEAT_SECONDS": "2"}
SLOW = 90  # seconds


@pytest.fixture(scope="module")
def overlay_pods(network: Podman) -> Iterator[Pods]:
    manifests = overlay("local")
    played = Pods(network, manifests, VARIABLES)
    for name in ("redis", "minio"):
        network.base(container(of_kind("Deployment", manifests)[name])["image"])
    played.remove_all()
    try:
        played.secret("minio-credentials", SECRET)
        yield played
    finally:
        played.remove_all()


@pytest.fixture
def pods(overlay_pods: Pods) -> Pods:
    """All pods of the overlay, started again where a test killed them, with a worker that offers its models."""
    overlay_pods.start_missing()
    for name, probe in WAITED_FOR:
        eventually(partial(overlay_pods.probed, name, probe), SLOW)
    eventually(partial(reaches_its_servers, overlay_pods.address("rest-0", 5000)), SLOW)
    eventually(partial(offers_models, overlay_pods.address("rest-0", 5000)), SLOW)
    return overlay_pods


def reaches_its_servers(address: str) -> bool:
    """Say whether REST at `address` reaches Redis and the store."""
    return requests.get(f"http://{address}/readyz", timeout=30).ok


def offers_models(address: str) -> bool:
    return requests.get(f"http://{address}/apiv1/models", timeout=10).ok


@pytest.fixture
def client(pods: Pods) -> Iterator[Client]:
    with Client(pods.address("rest-0", 5000)) as connected:
        yield connected


def long_song(path: Path, number: int, times: int = 1) -> Path:
    return write(path / f"{number}.mp3", true_waves()["mixture"].repeat(times, axis=1)[:, number:], codec="libmp3lame")


def test_every_probe_succeeds(pods: Pods) -> None:
    for name in ("rest-0", "rest-1"):
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            eventually(partial(pods.probed, name, probe), SLOW)
    for name, probe in (("worker-0", "startupProbe"), ("worker-0", "livenessProbe"), ("redis-0", "livenessProbe")):
        assert pods.probed(name, probe)


@pytest.mark.parametrize("name", ["redis-0", "minio-0", "rest-0", "rest-1", "worker-0"])
def test_a_pod_runs_as_its_own_user_and_writes_only_to_its_volumes(pods: Pods, name: str) -> None:
    user = {"redis-0": 999, "minio-0": 1000}.get(name, 10001)
    assert pods.inside(name, "id", "-u").strip() == str(user)
    said = pods.inside(
        name, "sh", "-c", "for f in / /etc /opt /usr /var; do touch $f/x 2>/dev/null && echo $f; done; true"
    )
    assert said == ""


def test_the_labs_sample_client_gets_four_stems(pods: Pods, client: Client, tmp_path: Path) -> None:
    sample = ROOT / "client/short-sample-request.py"
    address = {**os.environ, "REST": pods.address("rest-1", 5000)}
    song = default_song()
    done = subprocess.run([sys.executable, sample, song], env=address, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    songhash = json.loads(done.stdout[done.stdout.index("{") : done.stdout.index("}") + 1])["hash"]
    job = client.job(songhash)
    assert job.wait(timeout=SLOW).state == "succeeded"
    assert len(job.download(tmp_path)) == 4


def test_a_job_whose_worker_pod_is_lost_succeeds_on_the_next_pod(pods: Pods, client: Client, tmp_path: Path) -> None:
    job = client.separate(long_song(tmp_path, 1, times=15))
    eventually(lambda: job.status().progress > 0.05, SLOW)
    pods.kill("worker")
    assert job.status().state == "running"
    pods.start("worker")
    status = job.wait(timeout=2 * SLOW)
    assert status.state == "succeeded"
    assert status.attempt == 2


def test_a_lost_redis_pod_returns_on_its_volume_with_every_job(pods: Pods, client: Client, tmp_path: Path) -> None:
    pods.kill("worker")
    jobs = [client.separate(long_song(tmp_path, number)) for number in (2, 3, 4)]
    pods.kill("redis")
    pods.start("redis")
    eventually(partial(reaches_its_servers, pods.address("rest-0", 5000)), SLOW)
    assert client.queue() == [job.songhash for job in jobs]
    pods.start("worker")
    assert [job.wait(timeout=SLOW).state for job in jobs] == ["succeeded"] * 3


def test_a_lost_store_pod_returns_on_its_volume_with_every_stem(pods: Pods, client: Client, tmp_path: Path) -> None:
    job = client.separate(long_song(tmp_path, 5), wait=True)
    pods.kill("minio")
    pods.start("minio")
    eventually(partial(reaches_its_servers, pods.address("rest-0", 5000)), SLOW)
    assert len(job.download(tmp_path)) == 4
