"""Checks Redis: its answer time, version, role, persistence, eviction policy, memory and clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median
from typing import Any

from msas.doctor.check_clock import check_clock
from msas.doctor.finding import Finding, error, ok, warning
from msas.errors import QueueUnavailable
from msas.queue import Queue
from msas.queue.connection import translate_errors
from msas.settings import Settings

_PINGS = 5
_SLOW_SECONDS = 0.1  # each API call needs several Redis calls
_FULL_SHARE = 0.8
_OLDEST_VERSION = 7  # since then scripts can declare that they run while Redis is full


def check_redis(queue: Queue, settings: Settings) -> Iterator[Finding]:
    """Yield the findings about Redis; a single one where it does not answer."""
    where = settings.redis_address()
    try:
        with translate_errors():
            info: dict[str, Any] = queue.redis.info()
            seconds = median(_measure_ping(queue) for _ in range(_PINGS))
        before = time.time()
        ahead = queue.now() / 1000 - (before + time.time()) / 2
    except QueueUnavailable as problem:
        reason = str(problem.__cause__).rstrip(".")
        names = "REDIS_URL" if settings.redis_url else "REDIS_HOST and REDIS_PORT"
        yield error("redis", f"Redis at {where} does not answer ({reason}): start it, or correct {names}.")
        return
    yield _check_answer(where, info, seconds)
    yield from _check_role(where, info)
    yield _check_persistence(info)
    yield _check_eviction(info)
    yield _check_memory(info)
    yield check_clock("Redis", ahead)


def _measure_ping(queue: Queue) -> float:
    since = time.monotonic()
    queue.redis.ping()
    return time.monotonic() - since


def _check_answer(where: str, info: dict[str, Any], seconds: float) -> Finding:
    name = info.get("server_name", "redis")
    version = info.get(f"{name}_version", info["redis_version"])
    message = f"Redis at {where} answers in {seconds * 1000:.1f} ms ({name} {version})"
    if int(version.partition(".")[0]) < _OLDEST_VERSION:
        return error("redis", f"{message}, which is too old: use Redis {_OLDEST_VERSION} or later, or Valkey.")
    if seconds <= _SLOW_SECONDS:
        return ok("redis", f"{message}.")
    return warning("redis", f"{message}, which slows every API call: move it closer, or give it more CPU.")


def _check_role(where: str, info: dict[str, Any]) -> Iterator[Finding]:
    """All keys share one slot, and every call writes, so a cluster or a replica can not be used."""
    if info.get("cluster_enabled"):
        yield error(
            "role", f"Redis at {where} is part of a cluster, which MSaaS does not support: use a single primary."
        )
    elif info.get("role") == "slave":
        yield error("role", f"Redis at {where} is a read-only replica: configure its primary instead.")


def _check_persistence(info: dict[str, Any]) -> Finding:
    if not info.get("aof_enabled"):
        return error(
            "persistence",
            "Redis writes no append-only file, so a restart loses the queue: set 'appendonly yes' in its "
            "configuration (until then: CONFIG SET appendonly yes).",
        )
    if info.get("aof_last_write_status", "ok") != "ok":
        return error(
            "persistence", "Redis can not write its append-only file: check whether its disk is full, and read its log."
        )
    return ok("persistence", "Redis writes every change to its append-only file.")


def _check_eviction(info: dict[str, Any]) -> Finding:
    policy = info.get("maxmemory_policy", "unknown")
    if policy == "noeviction":
        return ok("eviction", "Redis evicts nothing.")
    return error(
        "eviction",
        f"Redis evicts keys, and so jobs, when it is full (maxmemory-policy {policy}): set it to noeviction.",
    )


def _check_memory(info: dict[str, Any]) -> Finding:
    used, most = info["used_memory"], info.get("maxmemory") or info.get("total_system_memory") or 0
    message = f"Redis uses {used / 1e6:.0f} MB" + (f" of {most / 1e6:.0f} MB" if most else "")
    if used <= _FULL_SHARE * most or not most:
        return ok("memory", f"{message}.")
    return warning("memory", f"{message}, and refuses songs when it is full: raise maxmemory.")
