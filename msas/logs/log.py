"""Logging: one JSON line for each event, to stdout and to the capped list `logging` in Redis."""

from __future__ import annotations

import json
import logging
import queue
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from logging.handlers import QueueHandler, QueueListener
from types import MappingProxyType, TracebackType
from typing import Any

from redis import Redis, RedisError

LINES_KEPT = 10_000
_PENDING = 1_000
_context: ContextVar[Mapping[str, Any]] = ContextVar("context", default=MappingProxyType({}))
CALLS = "msas.calls"  # the logger of HTTP calls, which goes to stdout only: in the list it would displace all else


def event(logger: logging.Logger, name: str, /, level: int = logging.INFO, **facts: Any) -> None:
    """Log the event `name` with `facts`, which are JSON values, such as `songhash=...`."""
    logger.log(level, name, extra={"facts": facts})


def bind(**facts: Any) -> None:
    """Add `facts` to each line that is logged in this context (see contextvars) from now on."""
    _context.set({**_context.get(), **facts})


@contextmanager
def bound(**facts: Any) -> Iterator[None]:
    """Add `facts` to each line that is logged in the block; threads that it starts need a copy of its context."""
    before = _context.set({**_context.get(), **facts})
    try:
        yield
    finally:
        _context.reset(before)


def start(service: str, redis: Redis | None = None, log_list: str = "logging") -> None:
    """Send every log record of this process to stdout and, where `redis` is given, to the list `log_list`.

    A separate thread writes to the list, so a slow Redis delays no other thread; lines beyond its buffer of 1,000 are
    missing from the list, but not from stdout. Exceptions that end a thread or the process are logged, too.
    """
    formatter = _JsonLines(service)
    stdout = logging.StreamHandler(sys.stdout)
    stdout.setFormatter(formatter)
    handlers: list[logging.Handler] = [stdout]
    if redis is not None:
        to_list = _ToList(redis, log_list)
        to_list.setFormatter(formatter)
        pending = _DropWhenFull(queue.Queue(_PENDING))
        pending.addFilter(lambda record: record.name != CALLS)
        listener = QueueListener(pending.queue, to_list)
        listener.start()
        handlers.append(pending)
    for handler in handlers:
        handler.addFilter(_add_context)
    root = logging.getLogger()
    root.handlers = handlers
    root.setLevel(logging.INFO)
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda args: _log_uncaught(args.exc_type, args.exc_value, args.exc_traceback)


def _log_uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    facts = {"why": f"{kind.__name__}: {error}", "thread": threading.current_thread().name}
    logging.getLogger("msas").critical(
        "ended by an error", exc_info=(kind, error or kind(), trace), extra={"facts": facts}
    )


def _add_context(record: logging.LogRecord) -> bool:
    """Runs in the thread that logs, whose context it reads; another thread may format the line."""
    record.facts = {**_context.get(), **getattr(record, "facts", {})}
    return True


class _JsonLines(logging.Formatter):
    def __init__(self, service: str) -> None:
        super().__init__()
        self.service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "service": self.service,
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class _DropWhenFull(QueueHandler):
    queue: queue.Queue[Any]

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record  # the listener is in the same process, so the record need not be formatted here

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Drop the record where the buffer is full; stdout has it."""


class _ToList(logging.Handler):
    def __init__(self, redis: Redis, log_list: str) -> None:
        super().__init__()
        self.redis, self.log_list = redis, log_list

    def emit(self, record: logging.LogRecord) -> None:
        try:
            with self.redis.pipeline(transaction=False) as pipeline:
                pipeline.lpush(self.log_list, self.format(record))
                pipeline.ltrim(self.log_list, 0, LINES_KEPT - 1)
                pipeline.execute()
        except RedisError:
            pass  # stdout has the line
