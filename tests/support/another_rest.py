"""A second REST process beside the service's own, on the same Redis and store, with other settings."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import requests

from local import Service, servers
from local.child import Child
from tests.support.processes import environment_with, eventually


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
