"""A second REST process beside the service's own, on the same Redis and store, with other settings."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import requests

from local import Service, servers
from local.child import Child
from msas.queue import Queue
from msas.settings import Settings
from tests.support.offers import advertise_models
from tests.support.processes import environment_with, eventually


@contextmanager
def rest_with_own_queue(service: Service, folder: Path, **variables: str) -> Iterator[tuple[str, Settings]]:
    """Yield the URL and the settings of a REST whose queue is its own, has models on offer, and no worker.

    Jobs stay queued unless the test takes them, with leases of 60 s. All keys of the queue are deleted afterwards.
    """
    settings = replace(service.settings, work_queue=f"own-{secrets.token_hex(4)}", lease_seconds=60)
    queue = Queue.from_settings(settings)
    advertise_models(queue, Queue.from_settings(service.settings).advertised_models())
    own = {"WORK_QUEUE": settings.work_queue, "LEASE_SECONDS": "60"}
    with another_rest(service, folder, **own, **variables) as url:
        yield url, settings
    for key in queue.redis.scan_iter(f"*{settings.work_queue}*"):
        queue.redis.delete(key)


def remove_queued(url: str, headers: Mapping[str, str] | None = None) -> None:
    """Remove all jobs that wait in the queue of this REST; `headers` carry the key for that."""
    for songhash in requests.get(f"{url}/apiv1/queue", headers=headers, timeout=30).json()["queue"]:
        requests.delete(f"{url}/apiv1/remove/{songhash}", headers=headers, timeout=30).raise_for_status()


@contextmanager
def another_rest(service: Service, folder: Path, **variables: str) -> Iterator[str]:
    """Yield its URL; the process ends with the block, and its log is FOLDER/rest.log."""
    port = servers.free_ports(1)[0]
    environment = {
        **service.settings.to_environment(),
        "REST_PORT": str(port),
        "RECONCILE_SECONDS": "3600",
        **variables,
    }
    rest = Child("rest", [sys.executable, "-m", "rest"], environment_with(**environment), folder / "rest.log")
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert rest.alive, rest.last_words()
        with suppress(requests.ConnectionError):
            return requests.get(f"{url}/healthz", timeout=5).ok
        return False

    try:
        eventually(answers)
        yield url
    finally:
        rest.stop(5)
