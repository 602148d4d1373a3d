"""Redis clients with their timeouts and retries, and the loader of the Lua scripts."""

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

_CONNECTIONS = 32  # of a process; further calls wait for a free one
_CONNECTION_WAIT_SECONDS = 5.0
_SCRIPTS = Path(__file__).parent / "scripts"
# A full Redis refuses these scripts before their first command, and BLMOVE. All others run, also where they write a few
# bytes, as `look_up` does: jobs go on, end, and are removed.
_REFUSED_WHEN_FULL = ("enqueue", "add_callback", "note_received")
_FIRST_LINE, _FIRST_LINE_WHEN_FULL = "#!lua\n", "#!lua flags=allow-oom\n"  # since Redis 7


def connect(settings: Settings, *, retries: int = 1, seconds: float = 0.8) -> Redis:
    """Return a client whose commands time out after `seconds` and are sent again at most `retries` times.

    With the defaults, which are for REST, callers learn within 2 s that Redis is away. All scripts are idempotent, so
    they may be sent again. A demoted primary answers READONLY: the client then connects again, too.
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
    """Return a client for the blocking pop only, which is never sent twice.

    A pop whose reply was lost has moved a message; the worker finds it in its own list in the next turn.
    """
    pool = ConnectionPool(
        **parse_url(settings.redis_location()),  # type: ignore[no-untyped-call]
        socket_connect_timeout=2,
        socket_timeout=settings.block_seconds + 5,
        retry=Retry(NoBackoff(), 0),
    )
    return Redis.from_pool(pool)


class Scripts:
    """The Lua scripts of the folder `scripts`, by name. Each is one atomic change of the queue."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        lease, retry = int(settings.lease_seconds * 1000), int(settings.retry_seconds * 1000)
        prelude = f"local LEASE, RETRY = {lease}, {retry}\n{(_SCRIPTS / 'prelude.lua').read_text()}"
        self._scripts = {
            path.stem: redis.register_script(
                (_FIRST_LINE if path.stem in _REFUSED_WHEN_FULL else _FIRST_LINE_WHEN_FULL) + prelude + path.read_text()
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
    """Raise QueueUnavailable where Redis does not answer a command of the block; RedisFull where it is full."""
    try:
        yield
    except OutOfMemoryError as error:
        raise RedisFull(
            "Redis is full: it uses all of its maxmemory, and accepts no jobs until songs that ended are removed."
        ) from error
    except RedisError as error:
        raise QueueUnavailable(
            f"Redis does not answer ({type(error).__name__}); try again in a few seconds."
        ) from error
