"""How we talk to Redis: two clients with different patience, and scripts that may be sent twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from redis import Redis, RedisError
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import ReadOnlyError
from redis.exceptions import TimeoutError as TimedOut
from redis.retry import Retry

from msas.problem import QueueUnavailable
from msas.settings import Settings

_SCRIPTS = Path(__file__).parent / "scripts"


def connect(settings: Settings, *, retries: int = 1, seconds: float = 0.8) -> Redis:
    """Return a client that gives each command `seconds` and sends it again up to `retries` times.

    The defaults suit REST, whose callers had rather be told within 2 s that Redis is away; workers can wait.

    Every script of ours may be sent twice without harm. A demoted master answers READONLY: that is
    worth a new connection, too.
    """
    return Redis(
        host=settings.redis_host,
        port=settings.redis_port,
        socket_connect_timeout=seconds,
        socket_timeout=seconds,
        retry=Retry(ExponentialBackoff(cap=1, base=0.05), retries),
        retry_on_error=[ConnectionLost, TimedOut, ReadOnlyError],
    )


def connect_blocking(settings: Settings) -> Redis:
    """Return a client for the blocking pop alone.

    It never sends anything twice: a pop whose reply was lost has moved a message already, and the
    worker finds that in its own list on the next turn.
    """
    return Redis(
        host=settings.redis_host,
        port=settings.redis_port,
        socket_connect_timeout=2,
        socket_timeout=settings.block_seconds + 5,
        retry=Retry(NoBackoff(), 0),
    )


class Scripts:
    """The Lua scripts beside this file by name, each one atomic change of the queue."""

    def __init__(self, redis: Redis) -> None:
        self._scripts = {path.stem: redis.register_script(path.read_text()) for path in _SCRIPTS.glob("*.lua")}

    def run(self, name: str, keys: Sequence[str], arguments: Sequence[str | bytes | float]) -> Any:
        """Run the script `name`. Raises QueueUnavailable where Redis does not answer."""
        try:
            return self._scripts[name](keys=keys, args=arguments)
        except RedisError as error:
            raise unavailable(error) from error


def unavailable(error: RedisError) -> QueueUnavailable:
    return QueueUnavailable(f"Redis does not answer ({type(error).__name__}); try again in a few seconds.")
