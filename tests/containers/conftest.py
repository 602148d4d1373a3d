"""What the container tests share: our two images, built once, and a network with Redis and the store in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from tests.containers.podman import HARDENED, REST, WORKER, Podman, missing
from tests.support.processes import eventually

REDIS, MINIO = "docker.io/library/redis:7-bookworm", "quay.io/minio/minio:latest"
SECRET = {"MINIO_ACCESS_KEY": "rootuser", "MINIO_SECRET_KEY": "rootpass123"}
PLACES = {"REDIS_HOST": "redis", "MINIO_HOST": "myminio-proj:9000", "MODEL_NAME": "lite", **SECRET}


@pytest.fixture(scope="session")
def podman() -> Iterator[Podman]:
    if why := missing():
        pytest.exit(f"Containers can't be run here: {why}.", returncode=3)
    engine = Podman()
    yield engine
    engine.remove_all()


@pytest.fixture(scope="session")
def images(podman: Podman) -> Podman:
    podman.build_ours()
    return podman


@pytest.fixture(scope="session")
def network(images: Podman) -> Iterator[Podman]:
    images("network", "create", images.network)
    yield images
    images.remove_all()
    images("network", "rm", "--force", images.network)


@pytest.fixture(scope="module")
def running(network: Podman) -> Iterator[Podman]:
    """The whole service in four containers, ours hardened; afterwards their names are free for others."""
    for image in (REDIS, MINIO):
        network.base(image)
    network.run("redis", REDIS)
    users = {"MINIO_ROOT_USER": SECRET["MINIO_ACCESS_KEY"], "MINIO_ROOT_PASSWORD": SECRET["MINIO_SECRET_KEY"]}
    network.run("myminio-proj", MINIO, *environment(users), command=("server", "/data"))
    network.run("worker", WORKER, *HARDENED, *environment(PLACES))
    network.run("rest", REST, *HARDENED, *environment(PLACES))
    eventually(lambda: answers(network, "/readyz"), 60)
    eventually(lambda: '"ready"' in network.logs("worker"), 60)
    yield network
    network.remove_all()


def environment(variables: dict[str, str]) -> list[str]:
    return [f"--env={name}={value}" for name, value in variables.items()]


def answers(podman: Podman, path: str) -> bool:
    try:
        return requests.get(f"http://{podman.address('rest', 5000)}{path}", timeout=2).ok
    except requests.RequestException:
        return False
