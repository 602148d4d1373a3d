"""Clients of Redis and the store whose calls a test lets fail, repeat, wait, or kill the process.

Redis is a real server for these tests alone. The store is the real class on any S3 client.
"""

from __future__ import annotations

import atexit
import io
import re
import shutil
import tempfile
from collections.abc import Callable
from enum import StrEnum
from functools import cache, partial
from pathlib import Path
from typing import Any

from minio import Minio
from redis import ConnectionPool, Redis
from redis.exceptions import ConnectionError as ConnectionLost
from urllib3.exceptions import HTTPError

from local import servers
from local.child import Child
from tests.support.processes import environment_with, eventually

_WHOLE = 1 << 30  # bytes; more than any object here


class Fault(StrEnum):
    """What happens to a call instead of its success."""

    KILLED_BEFORE = "killed before"
    KILLED_AFTER = "killed after"
    REFUSED = "refused"
    REPLY_LOST = "reply lost"
    SENT_TWICE = "sent twice"


FAILING = (Fault.REFUSED, Fault.REPLY_LOST)
KILLS = (Fault.KILLED_BEFORE, Fault.KILLED_AFTER)
# Names the fault of each call, or None; may do something else first, as a pause before the call.
Decide = Callable[[str], Fault | None]


class Killed(BaseException):
    """The process was killed: none of its `except` and `finally` blocks reaches a server any more."""


class Wire:
    """The connection of one process to its servers."""

    def __init__(self, decide: Decide) -> None:
        self._decide, self.dead = decide, False

    def call(self, name: str, do: Callable[[], Any], lost: type[Exception]) -> Any:
        """Make the call, unless it meets a fault; a call without an answer raises `lost`."""
        fault = None if self.dead else self._decide(name)
        if self.dead or fault is Fault.KILLED_BEFORE:
            self._die()
        if fault is Fault.REFUSED:
            raise lost("refused")
        try:
            if fault is Fault.SENT_TWICE:
                do()
            return do()
        finally:  # after an error as well
            if fault is Fault.KILLED_AFTER:
                self._die()
            if fault is Fault.REPLY_LOST:
                raise lost("the reply was lost")

    def _die(self) -> None:
        self.dead = True
        raise Killed


class WiredRedis(Redis):
    """A Redis client on a wire. Scripts are called by their names; the blocking pop does not block."""

    def __init__(self, pool: ConnectionPool, wire: Wire) -> None:
        super().__init__(connection_pool=pool)
        self._wire, self._names = wire, dict[str, str]()

    def register_script(self, script: Any) -> Any:
        registered = super().register_script(script)
        title = re.search(r"^-- (?!prelude: )(\w+): ", script, re.MULTILINE)  # the prelude precedes each script
        self._names[registered.sha] = title[1] if title else ""
        return registered

    def execute_command(self, *args: Any, **options: Any) -> Any:
        name = args[0].lower()
        if name == "evalsha":
            name = self._names[args[1]]
            name += " idle" if name == "renew" and not args[5] else ""
        elif name == "blmove":
            args = ("LMOVE", *args[1:-1])
        return self._wire.call(name, partial(super().execute_command, *args, **options), ConnectionLost)

    def pipeline(self, transaction: Any = True, shard_hint: Any = None) -> Any:
        made = super().pipeline(transaction, shard_hint)
        once = cache(made.execute)  # a sent pipeline is empty; all of ours only read, so their answer may be repeated
        made.execute = partial(self._wire.call, "pipeline", once, ConnectionLost)  # type: ignore[method-assign]
        return made


class WiredMinio:
    """An S3 client on a wire."""

    def __init__(self, minio: Minio, wire: Wire) -> None:
        self._minio, self._wire = minio, wire

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def call(bucket: str, *args: Any, **options: Any) -> Any:
            first = args[0] if args and isinstance(args[0], str) else ""
            if method == "put_object":  # read first: reading a stem that is being encoded makes calls itself
                content = args[1].read(_WHOLE)
            elif method == "remove_objects":
                args = (list(args[0]),)

            def do() -> Any:
                given = (first, io.BytesIO(content), *args[2:]) if method == "put_object" else args
                answer = getattr(self._minio, method)(bucket, *given, **options)
                return list(answer) if method in ("list_objects", "remove_objects") else answer

            return self._wire.call(f"{method.strip('_').removesuffix('_object')} {_kind(first)}".strip(), do, HTTPError)

        return call


def _kind(key: str) -> str:
    """Return the kind of object that the key names."""
    kinds = {"-report.json": "report", "-peaks.json": "peaks", ".json": "message", ".wav": "stem", "-first": "first"}
    return next((kind for end, kind in kinds.items() if key.endswith(end)), "song" if key else "")


@cache
def own_redis() -> ConnectionPool:
    """Start a Redis-protocol server for these tests alone, which may empty it; it ends with the process."""
    folder = Path(tempfile.mkdtemp(prefix="msas-calls-"))
    port = servers.free_ports(1)[0]
    command = [*servers.redis_command(port, folder), "--appendonly", "no"]
    child = Child("redis", command, environment_with(), folder / "redis.log")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(child.stop, 1)
    pool = ConnectionPool(host=servers.LOOPBACK, port=port)
    eventually(lambda: _answers(pool), 10)
    return pool


def _answers(pool: ConnectionPool) -> bool:
    try:
        return bool(Redis(connection_pool=pool).ping())
    except ConnectionLost:
        return False
