"""Findings of Redis: whether it answers, and will keep what it is told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median
from typing import Any

from msas.doctor.check_clock import clock_finding
from msas.doctor.finding import Finding, look, well, wrong
from msas.errors import QueueUnavailable
from msas.queue import Queue
from msas.queue.connection import translate_errors
from msas.settings import Settings

_PINGS = 5
_SLOW_SECONDS = 0.1  # a call of the API asks Redis several times
_FULL = 0.8
_OLDEST = 7  # the first whose scripts may say that they run when it is full


def redis_findings(queue: Queue, settings: Settings) -> Iterator[Finding]:
    """Look at Redis; where it does not answer, there is one finding."""
    where = settings.redis_address()
    try:
        with translate_errors():
            info: dict[str, Any] = queue.redis.info()
            seconds = median(_timed(queue) for _ in range(_PINGS))
        before = time.time()
        ahead = queue.now() / 1000 - (before + time.time()) / 2
    except QueueUnavailable as problem:
        reason = str(problem.__cause__).rstrip(".")
        names = "REDIS_URL" if settings.redis_url else "REDIS_HOST and REDIS_PORT"
        yield wrong("redis", f"Redis at {where} does not answer ({reason}): start it, or correct {names}.")
        return
    yield _answer(where, info, seconds)
    yield from _role(where, info)
    yield _persistence(info)
    yield _eviction(info)
    yield _memory(info)
    yield clock_finding("Redis", ahead)


def _timed(queue: Queue) -> float:
    since = time.monotonic()
    queue.redis.ping()
    return time.monotonic() - since


def _answer(where: str, info: dict[str, Any], seconds: float) -> Finding:
    name = info.get("server_name", "redis")
    version = info.get(f"{name}_version", info["redis_version"])
    sentence = f"Redis at {where} answers in {seconds * 1000:.1f} ms ({name} {version})"
    if int(version.partition(".")[0]) < _OLDEST:
        return wrong("redis", f"{sentence}, which is too old: use Redis {_OLDEST} or later, or Valkey.")
    if seconds <= _SLOW_SECONDS:
        return well("redis", f"{sentence}.")
    return look("redis", f"{sentence}, which slows every call of the API: bring it nearer, or give it more CPU.")


def _role(where: str, info: dict[str, Any]) -> Iterator[Finding]:
    """Our keys share one slot, and every call writes: it must be one primary, whatever name it has."""
    if info.get("cluster_enabled"):
        yield wrong("role", f"Redis at {where} is part of a cluster, which MSaaS can not use: give it one primary.")
    elif info.get("role") == "slave":
        yield wrong("role", f"Redis at {where} is a replica, which takes no jobs: name its primary instead.")


def _persistence(info: dict[str, Any]) -> Finding:
    if not info.get("aof_enabled"):
        return wrong(
            "persistence",
            "Redis writes no append-only file, so that a restart forgets the queue: set 'appendonly yes' in its "
            "configuration (CONFIG SET appendonly yes until then).",
        )
    if info.get("aof_last_write_status", "ok") != "ok":
        return wrong(
            "persistence", "Redis can not write its append-only file: look whether its disk is full; its log says more."
        )
    return well("persistence", "Redis keeps every write in its append-only file.")


def _eviction(info: dict[str, Any]) -> Finding:
    policy = info.get("maxmemory_policy", "unknown")
    if policy == "noeviction":
        return well("eviction", "Redis evicts nothing.")
    return wrong(
        "eviction",
        f"Redis throws keys away when full (maxmemory-policy {policy}), and jobs with them: set it to noeviction.",
    )


def _memory(info: dict[str, Any]) -> Finding:
    used, most = info["used_memory"], info.get("maxmemory") or info.get("total_system_memory") or 0
    sentence = f"Redis holds {used / 1e6:.0f} MB" + (f" of {most / 1e6:.0f} MB" if most else "")
    if used <= _FULL * most or not most:
        return well("memory", f"{sentence}.")
    return look("memory", f"{sentence}, and refuses songs when it is full: give it more (maxmemory).")
