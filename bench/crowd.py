"""Measures REST under a crowd: slow uploads, slow downloads, long polls, bytes dripped into refused bodies.

Beside them, fast callers make short calls, one after the other. The 99th percentile of their waits with the crowd is
compared with the one without it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import multiprocessing
import random
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from bench import material
from bench.material import Setup
from bench.rest_speed import peak_mb, separate_minute
from local import Service

SLOW, DRIPS, FAST = 500, 50, 20  # connections of each kind: uploads, downloads, long polls; drips; fast callers
BYTES_PER_SECOND = 20_000
SECONDS, LONG_SECONDS = 30, 120
ALONE_SECONDS = 10
RAMP_SECONDS = 5
WAITING_SONGS = 50
_READ_LIMIT = 16 * 1024  # bytes that a slow reader holds unread


def measure(setup: Setup) -> dict[str, float]:
    """Measure half a minute of it."""
    return _measure(setup, SECONDS)


def measure_long(setup: Setup) -> dict[str, float]:
    """Measure two minutes of it."""
    return {f"long_{key}": value for key, value in _measure(setup, LONG_SECONDS).items()}


def _measure(setup: Setup, seconds: float) -> dict[str, float]:
    # The defaults of REST are what is measured; the queue only needs room for all songs that come.
    variables = {**setup.environment, "MODEL_NAME": "lite", "MAX_QUEUE": "100000"}
    with Service(setup.out / "data", None, variables) as service:
        finished = separate_minute(service, setup.cache)
        service.children["worker"].stop(10)  # songs that were sent stay queued
        song = material.song(setup.cache, 240).read_bytes()
        place = Place(service.settings.rest_host, service.settings.rest_port, finished, song)
        alone = _apart(place, _run_fast, ALONE_SECONDS)
        crowd = _start(place, _run_crowd, seconds)
        time.sleep(RAMP_SECONDS + 2)
        beside = _apart(place, _run_fast, seconds - RAMP_SECONDS - 7)
        crowded = _result(crowd)
        if crowded.failures:
            print(*(f"  {count} times: {what}" for what, count in crowded.failures.most_common(8)), sep="\n")
        return {
            "crowd_cut_off": sum(crowded.failures.values()),
            "crowd_p99_vs_alone": _percentile(beside.waits) / _percentile(alone.waits),
            "crowd_p99_ms": _percentile(beside.waits) * 1000,
            "alone_p99_ms": _percentile(alone.waits) * 1000,
            "crowd_health_max_s": max(crowded.waits),
            "crowd_fast_failed": sum(beside.failures.values()),
            "crowd_uploads": crowded.done,
            "crowd_rest_peak_mb": peak_mb(service),
        }


@dataclass(frozen=True)
class Place:
    """Where REST listens, the songhash of a separated song, and an MP3 to send."""

    host: str
    port: int
    finished: str
    song: bytes


@dataclass
class Seen:
    """What a process of callers saw: how long calls took in seconds, what failed, how many uploads were accepted."""

    waits: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    done: int = 0


Run = Callable[[Place, Seen, float], Awaitable[None]]


def _start(place: Place, run: Run, seconds: float) -> tuple[multiprocessing.process.BaseProcess, Connection]:
    """Start callers in a process of their own, so that their work delays nobody else's figures."""
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=_child, args=(theirs, place, run, seconds))
    child.start()
    return child, ours


def _result(started: tuple[multiprocessing.process.BaseProcess, Connection]) -> Seen:
    child, ours = started
    seen: Seen = ours.recv()
    child.join()
    return seen


def _apart(place: Place, run: Run, seconds: float) -> Seen:
    return _result(_start(place, run, seconds))


def _child(connection: Connection, place: Place, run: Run, seconds: float) -> None:
    seen = Seen()
    asyncio.run(run(place, seen, time.monotonic() + seconds))  # type: ignore[arg-type]
    connection.send(seen)


async def _run_fast(place: Place, seen: Seen, until: float) -> None:
    paths = (f"/apiv1/status/{place.finished}", "/apiv1/models", f"/apiv1/status/{place.finished}")

    async def caller() -> None:
        async with _Connection(place) as connection:
            for path in itertools.cycle(paths):
                if time.monotonic() > until:
                    return
                since = time.monotonic()
                status = await connection.call(path)
                seen.waits.append(time.monotonic() - since)
                if status != 200:
                    seen.failures[f"{path[:20]} answered {status}"] += 1

    await asyncio.gather(*(caller() for _ in range(FAST)))


async def _run_crowd(place: Place, seen: Seen, until: float) -> None:
    waiting = [await _queue_song(place, number) for number in range(WAITING_SONGS)]
    callers = [
        *(_upload(place, seen, until, number) for number in range(SLOW)),
        *(_download(place, seen, until) for _ in range(SLOW)),
        *(_long_poll(place, seen, until, waiting[number % len(waiting)]) for number in range(SLOW)),
        *(_drip(place, until) for _ in range(DRIPS)),
        _ask_health(place, seen, until),
    ]
    names = ["upload"] * SLOW + ["download"] * SLOW + ["poll"] * SLOW + ["drip"] * DRIPS + ["health"]

    async def guarded(name: str, caller: Awaitable[None]) -> None:
        try:
            await asyncio.sleep(random.uniform(0, RAMP_SECONDS))
            await caller
        except (OSError, EOFError, asyncio.IncompleteReadError, ValueError) as error:
            seen.failures[f"{name}: {type(error).__name__} {error}"] += 1

    await asyncio.gather(*(guarded(name, caller) for name, caller in zip(names, callers, strict=True)))


async def _queue_song(place: Place, number: int) -> str:
    async with _Connection(place) as connection:
        body = place.song[:100_000] + f"waiting {number}".encode()
        await connection.send_head("POST", "/apiv1/separate?shifts=0", len(body))
        connection.writer.write(body)
        status, answer = await connection.answer()
        assert status == 200, answer
        return answer.split(b'"hash":"')[1][:56].decode()


async def _upload(place: Place, seen: Seen, until: float, number: int) -> None:
    """Send a song at BYTES_PER_SECOND that is whole some time before the end, then a longer one."""
    seconds = random.uniform(0.3, 0.9) * (until - time.monotonic())
    for turn, seconds_long in enumerate((int(seconds), len(place.song) // BYTES_PER_SECOND)):
        size = seconds_long * BYTES_PER_SECOND
        tail = f"{number:010}{turn:010}".encode()
        async with _Connection(place) as connection:
            await connection.send_head("POST", "/apiv1/separate", size)
            began = time.monotonic()
            for start in range(0, size, BYTES_PER_SECOND):
                if time.monotonic() > until:
                    return
                stop = min(start + BYTES_PER_SECOND, size)
                connection.writer.write(place.song[start:stop] if stop < size else place.song[start : stop - 20] + tail)
                await connection.writer.drain()
                await asyncio.sleep(max(0, began + start / BYTES_PER_SECOND + 1 - time.monotonic()))
            status, answer = await connection.answer()
            if status == 200:
                seen.done += 1
            else:
                seen.failures[f"upload answered {status}: {answer[:120]!r}"] += 1


async def _download(place: Place, seen: Seen, until: float) -> None:
    """Read a stem of 10 MB at BYTES_PER_SECOND."""
    async with _Connection(place) as connection:
        await connection.send_head("GET", f"/apiv1/track/{place.finished}/vocals.wav")
        status, length = await connection.head()
        if status != 200:
            seen.failures[f"download answered {status}"] += 1
            return
        began, had = time.monotonic(), 0
        while (now := time.monotonic()) < until and had < length:
            due = int((now - began + 1) * BYTES_PER_SECOND) - had
            if due > 0:
                chunk = await connection.reader.read(min(due, length - had))
                if not chunk:
                    seen.failures["download was cut off"] += 1
                    return
                had += len(chunk)
            await asyncio.sleep(0.5)
        if had < 0.5 * (until - began) * BYTES_PER_SECOND:
            seen.failures["download was starved"] += 1


async def _long_poll(place: Place, seen: Seen, until: float, songhash: str) -> None:
    """Wait for news of a queued song, again and again."""
    async with _Connection(place) as connection:
        while (left := until - time.monotonic()) > 1:
            status = await connection.call(f"/apiv1/status/{songhash}?wait={min(20, math.floor(left))}")
            if status != 200:
                seen.failures[f"long poll answered {status}"] += 1


async def _drip(place: Place, until: float) -> None:
    """Send one byte a second into a body that is refused, on a new connection each time the service closes one."""
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            async with _Connection(place) as connection:
                await connection.send_head("POST", "/apiv1/nothing", 1_000_000)
                while time.monotonic() < until and not connection.reader.at_eof():
                    connection.writer.write(b"x")
                    await connection.writer.drain()
                    await asyncio.sleep(1)


async def _ask_health(place: Place, seen: Seen, until: float) -> None:
    """Ask for /healthz twice a second, each time on a new connection, as probes do."""
    while time.monotonic() < until:
        since = time.monotonic()
        async with _Connection(place) as connection:
            status = await connection.call("/healthz")
        seen.waits.append(time.monotonic() - since)
        if status != 200:
            seen.failures[f"/healthz answered {status}"] += 1
        await asyncio.sleep(0.5)


class _Connection:
    """One HTTP/1.1 connection that is kept; an async context manager."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def __init__(self, place: Place) -> None:
        self._place = place

    async def __aenter__(self) -> _Connection:
        self.reader, self.writer = await asyncio.open_connection(self._place.host, self._place.port, limit=_READ_LIMIT)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    async def call(self, path: str) -> int:
        """Return the status of a GET."""
        await self.send_head("GET", path)
        status, _ = await self.answer()
        return status

    async def send_head(self, method: str, path: str, length: int = 0) -> None:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._place.host}"]
        if length:
            lines += ["Content-Type: audio/mpeg", f"Content-Length: {length}"]
        self.writer.write("\r\n".join([*lines, "", ""]).encode())
        await self.writer.drain()

    async def head(self) -> tuple[int, int]:
        """Return the status and the length of the body that follows."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = head.partition("content-length:")[2].partition("\r\n")[0]
        return int(head.split(" ", 2)[1]), int(length or 0)

    async def answer(self) -> tuple[int, bytes]:
        status, length = await self.head()
        return status, await self.reader.readexactly(length)


def _percentile(waits: list[float]) -> float:
    """Return the 99th percentile."""
    return statistics.quantiles(waits, n=100)[98]
