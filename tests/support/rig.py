"""The rig of the fault tests: a Redis of its own, any number of real worker processes, REST, and the oracle."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import shutil
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import numpy as np
import requests

from local import servers
from local.child import Child
from msas.errors import Unavailable
from msas.job import Job, Status, compute_songhash
from msas.options import Options
from msas.queue import Queue
from msas.queue.job_view import JobView
from msas.removal import remove
from msas.settings import Settings
from msas.store import Store
from rest.job_reader import Results
from tests.support.forked_child import ForkedChild
from tests.support.processes import environment_with, eventually

LEASE, RETRY = 1.0, 0.1
RECONCILE = 0.5
_TIMES = {"lease_seconds": LEASE, "beat_seconds": 0.2, "block_seconds": 0.3, "retry_seconds": RETRY}
_numbers = itertools.count()


class Rig:
    """A context manager; `store` gives the S3 server, `variables` are settings to override.

    `redis_port` may name a proxy in front of our Redis, which listens on `own_redis_port`. Buckets that it is given,
    and does not make itself, it only empties in the end: a new one takes the store a second, and much room.
    """

    def __init__(self, folder: Path, store: Settings, redis_flags: Sequence[str] = (), **variables: Any) -> None:
        self.folder, self._redis_flags, self._lasting_buckets = folder, redis_flags, "bucket_out" in variables
        self.own_redis_port = servers.free_ports(1)[0]
        number = next(_numbers)
        places: dict[str, Any] = {
            "redis_port": self.own_redis_port,
            "bucket_in": f"in-{number}",
            "bucket_out": f"out-{number}",
            "rest_port": servers.free_ports(1)[0],
        }
        times = {**_TIMES, "drain_seconds": 5.0, "reconcile_seconds": RECONCILE, "stall_seconds": 30.0}
        self.settings = replace(store, **{**places, **times, **variables})
        self.calls = folder / "calls"
        self.calls.mkdir(parents=True)
        (folder / "redis").mkdir()
        self.children: list[Child] = []
        self._started = itertools.count()

    def __enter__(self) -> Rig:
        command = servers.redis_command(self.own_redis_port, self.folder / "redis")
        # Waiting for the disk, it would put off writes, and lose those that it has answered when it is killed.
        self.redis = self.start("redis", [*command, "--appendfsync", "no", *self._redis_flags])
        self.queue = Queue.from_settings(replace(self.settings, redis_port=self.own_redis_port))
        self.store = Store.from_settings(self.settings)
        eventually(lambda: self.answers(), 10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in reversed(self.children):
            child.process.kill()
            child.process.wait()
        with suppress(Unavailable):
            self.store.make_buckets()
            self._empty_buckets()
            if not self._lasting_buckets:
                for bucket in (self.settings.bucket_in, self.settings.bucket_out):
                    self.store.minio.remove_bucket(bucket)

    def answers(self) -> bool:
        try:
            return bool(self.queue.now())
        except Unavailable:
            return False

    def worker(self, settings: Settings | None = None, **variables: str) -> Child:
        """Start one more worker."""
        return self._fork("worker", settings, variables)

    def keeper(self, settings: Settings | None = None, **variables: str) -> Child:
        """Start one more process that reconciles every half second, unless the variables say otherwise."""
        return self._fork("keeper", settings, {"RECONCILE_SECONDS": str(RECONCILE), **variables})

    def _fork(self, name: str, settings: Settings | None, variables: dict[str, str]) -> Child:
        log, environment = self._new_log(name), self._environment(settings, variables)
        child = ForkedChild(name, str(self.calls), environment, log)
        self.children.append(child)
        return child

    def reset(self) -> None:
        """End workers and keepers, and empty Redis, the buckets and the counts of separations, for the next test."""
        for child in [child for child in self.children if child.name in ("worker", "keeper")]:
            child.process.kill()
            child.process.wait()
            self.children.remove(child)
        self.queue.redis.config_set("maxmemory", 0)
        self.queue.redis.flushall()
        self._empty_buckets()
        shutil.rmtree(self.calls)
        self.calls.mkdir()

    def _empty_buckets(self) -> None:
        for bucket in (self.settings.bucket_in, self.settings.bucket_out):
            for found in self.store.minio.list_objects(bucket):
                self.store.minio.remove_object(bucket, found.object_name or "")

    def rest(self, settings: Settings | None = None, **variables: str) -> Child:
        """Start REST, on the port of the settings."""
        rest = self.start("rest", [sys.executable, "-m", "tests.support.fake_rest"], settings, **variables)
        eventually(lambda: self._reached(), 20)
        return rest

    def _reached(self) -> bool:
        with suppress(requests.RequestException):
            return requests.get(f"{self.url}/healthz", timeout=5).ok
        return False

    def posted(self, content: bytes | None = None, **fields: Any) -> requests.Response:
        """Send REST a song, a new one where none is given."""
        body = {"mp3": base64.b64encode(content or song(next(_numbers))).decode(), "format": "wav", **fields}
        return requests.post(f"{self.url}/apiv1/separate", json=body, timeout=30)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.rest_port}"

    def ready(self, *workers: Child) -> None:
        """Wait until these workers listen, and their models are on offer."""

        def is_ready(worker: Child) -> bool:
            names = cast(list[bytes], self.queue.redis.hkeys(f"{self.queue.prefix}offers"))
            offers = any(f"-{worker.process.pid}-" in name.decode() for name in names)
            return offers and '"event": "ready"' in worker.log.read_text()

        eventually(lambda: all(is_ready(worker) for worker in workers), 20)

    def accept(self, model: str = "quick", count: int = 1, **options: Any) -> list[str]:
        """Accept so many new songs, as REST does; return their songhashes."""
        return [
            self.accept_content(song(next(_numbers)), Options(model, format="wav", **options)) for _ in range(count)
        ]

    def accept_content(self, content: bytes, options: Options | None = None) -> str:
        """Accept a song with these bytes."""
        options = options or Options("quick", format="wav")
        job = Job(compute_songhash(io.BytesIO(content), options), options, "song.wav")
        self.store.put_song(job.songhash, io.BytesIO(content), len(content))
        self.store.put_message(job.songhash, job.message())
        self.queue.enqueue(job)
        return job.songhash

    def job(self, songhash: str) -> JobView:
        found = Results(self.queue, self.store).job(songhash)
        assert found, "the job is known"
        return found

    def running(self, songhash: str, stage: str | None = None) -> bool:
        """Say whether the job runs, in that stage if one is given; `separating` only once the engine was called."""
        found = self.job(songhash)
        if stage == "separating" and not self.separations(songhash):
            return False
        return found.status is Status.RUNNING and stage in (None, found.stage)

    def separations(self, songhash: str) -> int:
        """Return how often the engine was asked to separate the song."""
        path = self.calls / songhash
        return len(path.read_text().splitlines()) if path.exists() else 0

    def over(self, songhashes: Iterable[str]) -> bool:
        statuses = self.queue.statuses(list(songhashes))
        return all(status in (Status.SUCCEEDED, Status.FAILED) for status in statuses.values())

    def finish(self, songhashes: list[str], seconds: float = 30) -> None:
        """Wait until the jobs are over, then make sure that all of them are as they should be."""
        eventually(lambda: self.answers() and self.over(songhashes), seconds)
        self.check(songhashes)

    def check(self, songhashes: list[str]) -> None:
        """The oracle: each job succeeded, is published whole, and nothing else is left of it.

        Where its worker was killed just then, its message still lies in the store, until the stores are compared.
        """
        for songhash in songhashes:
            found = self.job(songhash)
            assert found.status is Status.SUCCEEDED, found
            self.whole(songhash, found)
        eventually(lambda: self.queue.list_all_jobs() == ([], [], []), 10)
        eventually(lambda: not self.places(), 10)

    def whole(self, songhash: str, job: JobView) -> None:
        """What the status tells is what the store's report tells, and each stem is there to the byte."""
        published = self.store.published(songhash)
        assert published, "the report and all its stems are there"
        report = published[0]
        assert job.report == report
        for stem in job.tracks:
            content = b"".join(self.store.open_stem(songhash, stem.name, stem.extension, tag=job.tag))
            assert hashlib.sha256(content).hexdigest() == stem.sha256

    def removed(self, songhash: str) -> None:
        """Remove a job, as REST does."""
        assert remove(self.queue, self.store, songhash) != "busy"

    def objects(self, songhash: str) -> list[str]:
        """Return the keys of all objects that belong to a song."""
        buckets = (self.settings.bucket_in, self.settings.bucket_out)
        found = [each for bucket in buckets for each in self.store.minio.list_objects(bucket, prefix=songhash)]
        return [each.object_name or "" for each in found]

    def places(self) -> list[bytes]:
        """Return every key of the queue's that holds a message."""
        redis, prefix = self.queue.redis, self.queue.prefix
        runs = cast(list[bytes], list(redis.scan_iter(f"{prefix}run:*")))
        return [key for key in (self.queue.name.encode(), f"{prefix}delayed".encode(), *runs) if redis.exists(key)]

    def dead(self) -> list[bytes]:
        return cast(list[bytes], self.queue.redis.lrange(f"{self.queue.prefix}dead", 0, -1))

    def restart_redis(self) -> None:
        self.redis.start()
        eventually(self.answers, 10)

    def reclaim(self) -> None:
        """Put back in line what is due, however recently another process did."""
        interval = int(self.settings.lease_seconds * 1000 / 6) + 1
        self.queue.redis.set(f"{self.queue.prefix}tick", self.queue.now() - interval)
        self.queue.reclaim()

    def reclaim_until(self, condition: Callable[[], object], seconds: float = 60) -> None:
        """Wait for the condition, without the pauses between reclaims."""

        def holds_after_reclaim() -> bool:
            self.reclaim()
            return bool(condition())

        eventually(holds_after_reclaim, seconds)

    def worker_names(self) -> list[str]:
        """Return the names under which Redis knows the workers."""
        names = cast(list[bytes], self.queue.redis.zrange(f"{self.queue.prefix}workers", 0, -1))
        return [name.decode() for name in names]

    def lease_end(self, name: str) -> float:
        """Return the time, in seconds of Redis' clock, at which the lease of this worker ends."""
        score = self.queue.redis.zscore(f"{self.queue.prefix}workers", name)
        assert score is not None, "Redis knows the worker"
        return score / 1000

    def expire_lease(self, worker: Child | str) -> None:
        """End the lease of a worker that is dead, paused or cut off, as if its time had run out; then reclaim.

        `worker` is the process or its name in Redis. One that never renewed its lease has none.
        """
        for name in self.worker_names():
            if name == worker or (isinstance(worker, Child) and f"-{worker.process.pid}-" in name):
                self.queue.redis.zadd(f"{self.queue.prefix}workers", {name: self.queue.now() - 1})
        self.reclaim()

    def start(self, name: str, command: list[str], settings: Settings | None = None, **variables: str) -> Child:
        """Start any process; it ends with the rig."""
        child = Child(name, command, self._environment(settings, variables), self._new_log(name))
        self.children.append(child)
        return child

    def _environment(self, settings: Settings | None, variables: dict[str, str]) -> dict[str, str]:
        scratch = self.folder / "scratch"
        scratch.mkdir(exist_ok=True)
        return environment_with(**{**(settings or self.settings).to_environment(), "TMPDIR": str(scratch), **variables})

    def _new_log(self, name: str) -> Path:
        return self.folder / "log" / f"{name}-{next(self._started)}.log"


@contextmanager
def lasting_buckets(folder: Path, store: Settings) -> Iterator[dict[str, str]]:
    """Make two buckets in which the store has room already, for many rigs one after the other."""
    with Rig(folder, store) as owner:
        owner.store.put_song("0" * 56, io.BytesIO(b"-"), 1)
        owner.store.put_stem("0" * 56, "drums", "wav", io.BytesIO(b"-"))
        owner._empty_buckets()
        yield {"bucket_in": owner.settings.bucket_in, "bucket_out": owner.settings.bucket_out}


def song(number: int, seconds: float = 0.1) -> bytes:
    """Return a WAV that is like no other."""
    wave = np.random.default_rng(number).integers(-9000, 9000, (round(44100 * seconds), 2), np.int16)
    header = b"RIFF" + (36 + wave.nbytes).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    form = np.array([(1, 2, 44100, 176400, 4, 16)], "<u2,<u2,<u4,<u4,<u2,<u2").tobytes()
    return header + form + b"data" + wave.nbytes.to_bytes(4, "little") + wave.tobytes()


def new_song() -> bytes:
    return song(next(_numbers))


def stop(child: Child) -> None:
    child.process.send_signal(signal.SIGSTOP)


def go_on(child: Child) -> None:
    child.process.send_signal(signal.SIGCONT)


def is_stopped(child: Child) -> bool:
    return Path(f"/proc/{child.process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


@contextmanager
def stopped(child: Child) -> Iterator[None]:
    """Stop a process in its tracks for the time of the block."""
    stop(child)
    try:
        yield
    finally:
        go_on(child)
