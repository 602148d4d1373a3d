"""Logging: one JSON line an event, to stdout and to the capped `logging` list in Redis."""

from __future__ import annotations

import json
import logging
import queue
import sys
from datetime import UTC, datetime
from logging.handlers import QueueHandler, QueueListener
from typing import Any

from redis import Redis, RedisError

LINES_KEPT = 10_000
_PENDING = 1_000


def event(logger: logging.Logger, name: str, /, level: int = logging.INFO, **facts: Any) -> None:
    """Log that `name` happened, with `facts` that JSON can hold, such as `songhash=...`."""
    logger.log(level, name, extra={"facts": facts})


def start(service: str, redis: Redis | None = None, log_list: str = "logging") -> None:
    """Send every log record of this process to stdout and, where `redis` is given, to the list `log_list`.

    A thread of its own feeds the list, so that a slow Redis delays nobody; what it can not take in time
    is dropped from the list, never from stdout.
    """
    formatter = _JsonLines(service)
    stdout = logging.StreamHandler(sys.stdout)
    stdout.setFormatter(formatter)
    handlers: list[logging.Handler] = [stdout]
    if redis is not None:
        to_list = _ToList(redis, log_list)
        to_list.setFormatter(formatter)
        pending = _DropWhenFull(queue.Queue(_PENDING))
        listener = QueueListener(pending.queue, to_list)
        listener.start()
        handlers.append(pending)
    root = logging.getLogger()
    root.handlers = handlers
    root.setLevel(logging.INFO)
    logging.getLogger("httpx2").setLevel(logging.WARNING)


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
        return record  # the listener is in this process: no need to flatten what it formats

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """The list is a convenience: a full buffer drops the record here, stdout has it."""


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
