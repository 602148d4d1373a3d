"""A Redis server for one measurement, and the jobs and reports that are put into it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from local import servers
from local.child import Child
from msas.errors import QueueUnavailable
from msas.job import Job
from msas.options import Options
from msas.queue import Queue
from msas.settings import Settings
from tests.support.processes import environment_with, eventually

LEASE = 2.0  # seconds


@contextmanager
def own_redis(folder: Path) -> Iterator[Settings]:
    """Start a Redis that appends every change to a file in `folder`, as the service's does; give its settings."""
    folder.mkdir()
    port = servers.free_ports(1)[0]
    child = Child("redis", servers.redis_command(port, folder), environment_with(), folder / "redis.log")
    settings = replace(Settings(), redis_port=port, beat_seconds=0.5, block_seconds=0.5, retry_seconds=0.1)
    settings = replace(settings, lease_seconds=LEASE)
    try:
        eventually(lambda: _answers(settings), 30)
        yield settings
    finally:
        child.process.kill()
        child.process.wait()


def make_job(number: int) -> Job:
    return Job(f"{number:056x}", Options("lite"), f"song {number}.mp3")


def _answers(settings: Settings) -> bool:
    try:
        return bool(Queue.from_settings(settings).now())
    except QueueUnavailable:
        return False
