"""How we talk to Redis: two clients with different patience, and scripts that may be sent twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redis import BlockingConnectionPool, ConnectionPool, Redis, RedisError
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.connection import parse_url
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import OutOfMemoryError, ReadOnlyError
from redis.exceptions import TimeoutError as TimedOut
from redis.retry import Retry

from msas.errors import QueueUnavailable, RedisFull
from msas.settings import Settings

_CONNECTIONS = 32  # of a process; calls beyond wait for one
_CONNECTION_WAIT_SECONDS = 5.0
_SCRIPTS = Path(__file__).parent / "scripts"
# Scripts that a full Redis refuses, before their first command. All others free memory, or keep jobs alive.
_ADDING_WORK = ("enqueue", "add_callback", "note_received")
_FIRST_LINE, _FIRST_LINE_WHEN_FULL = "#!lua\n", "#!lua flags=allow-oom\n"  # since Redis 7


def connect(settings: Settings, *, retries: int = 1, seconds: float = 0.8) -> Redis:
    """Return a client that gives each command `seconds` and sends it again up to `retries` times.

    The defaults suit REST, whose callers had rather be told within 2 s that Redis is away; workers can wait.

    Every script of ours may be sent twice without harm. A demoted master answers READONLY: that is
    worth a new connection, too.
    """
    pool = BlockingConnectionPool(  # type: ignore[no-untyped-call]
        max_connections=_CONNECTIONS,
        timeout=_CONNECTION_WAIT_SECONDS,
        **parse_url(settings.redis_location()),  # type: ignore[no-untyped-call]
        socket_connect_timeout=seconds,
        socket_timeout=seconds,
        retry=Retry(ExponentialBackoff(cap=1, base=0.05), retries),
        retry_on_error=[ConnectionLost, TimedOut, ReadOnlyError],
    )
    return Redis.from_pool(pool)


def connect_blocking(settings: Settings) -> Redis:
    """Return a client for the blocking pop alone.

    It never sends anything twice: a pop whose reply was lost has moved a message already, and the
    worker finds that in its own list on the next turn.
    """
    pool = ConnectionPool(
        **parse_url(settings.redis_location()),  # type: ignore[no-untyped-call]
        socket_connect_timeout=2,
        socket_timeout=settings.block_seconds + 5,
        retry=Retry(NoBackoff(), 0),
    )
    return Redis.from_pool(pool)


class Scripts:
    """The Lua scripts beside this file by name, each one atomic change of the queue."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        lease, retry = int(settings.lease_seconds * 1000), int(settings.retry_seconds * 1000)
        prelude = f"local LEASE, RETRY = {lease}, {retry}\n{(_SCRIPTS / 'prelude.lua').read_text()}"
        self._scripts = {
            path.stem: redis.register_script(
                (_FIRST_LINE if path.stem in _ADDING_WORK else _FIRST_LINE_WHEN_FULL) + prelude + path.read_text()
            )
            for path in _SCRIPTS.glob("*.lua")
        }
        self._queue = settings.work_queue

    def run(self, name: str, *arguments: str | bytes | float) -> Any:
        """Run the script `name`. Raises QueueUnavailable where Redis does not answer."""
        with translate_errors():
            return self._scripts[name](keys=[self._queue], args=arguments)


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raise QueueUnavailable where Redis does not answer in the block; RedisFull where it is full."""
    try:
        yield
    except OutOfMemoryError as error:
        raise RedisFull(
            "Redis is full: it uses all of its maxmemory, and takes no new work until songs that ended are removed."
        ) from error
    except RedisError as error:
        raise QueueUnavailable(
            f"Redis does not answer ({type(error).__name__}); try again in a few seconds."
        ) from error
