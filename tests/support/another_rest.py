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
from tests.support.processes import environment_with, eventually


@contextmanager
def rest_without_workers(
    service: Service, folder: Path, headers: Mapping[str, str] | None = None, **variables: str
) -> Iterator[str]:
    """Yield the URL of a REST whose jobs stay queued: its queue is its own, has models on offer, and no worker.

    `headers` carry the key that removes the jobs afterwards.
    """
    settings = replace(service.settings, work_queue=f"idle-{secrets.token_hex(4)}")
    Queue.from_settings(settings).offer(Queue.from_settings(service.settings).offered())
    with another_rest(service, folder, WORK_QUEUE=settings.work_queue, **variables) as url:
        yield url
        for songhash in requests.get(f"{url}/apiv1/queue", headers=headers, timeout=10).json().get("queue", []):
            requests.delete(f"{url}/apiv1/remove/{songhash}", headers=headers, timeout=10)


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
