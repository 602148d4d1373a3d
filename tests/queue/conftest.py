"""The queue's tests have a Redis of their own, without the rest of the service, and leases that expire on demand."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from msas.settings import Settings
from tests.support.faults import own_redis
from tests.support.in_process import Place


@pytest.fixture
def settings() -> Settings:
    """A new queue; its leases last a minute, its delays ten seconds, unless tests.support.queue_time ends them."""
    address = own_redis().connection_kwargs
    return Settings(
        redis_host=address["host"],
        redis_port=address["port"],
        work_queue=f"test-{secrets.token_hex(4)}",
        lease_seconds=60,
        block_seconds=0.01,
        retry_seconds=10,
    )


@pytest.fixture
def place() -> Iterator[Place]:
    with Place() as made:
        yield made
