"""Workers, REST and reconcilers in this process, on a Redis and a store of the test's own.

They are made of the code that runs in production, and each of their calls passes through the test
(tests/support/faults.py). Left out are the audio (`separate` makes the same calls in the same order), the heartbeat's
thread (a separation renews the lease where it confirms it) and all waits: an idle worker sends LMOVE instead of
BLMOVE, and leases of a minute and delays end when a test says so.

The store is the real class. Unless a test gives one, its S3 client is in memory, where a call takes microseconds.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType, SimpleNamespace, TracebackType
from typing import Any, cast
from unittest.mock import patch

from redis import Redis

import rest.api.separate
from msas.cost import SongLimits
from msas.job import Job, Stage, Status
from msas.models import Model
from msas.options import Options
from msas.queue import Consumer, Queue
from msas.removal import remove
from msas.report import MIXTURE, Report, Stem
from msas.settings import Settings
from msas.store import Store
from rest.job_reader import Results
from rest.uploads.receive import Upload
from tests.support.fake_s3 import MemoryMinio
from tests.support.faults import Decide, Wire, WiredMinio, WiredRedis, own_redis
from tests.support.queue_time import end_delays, expire_leases
from tests.support.reconcile import reconcile
from worker.drain import Drain
from worker.engines import Engine
from worker.heartbeat import Heartbeat, Liveness
from worker.loop import Worker
from worker.metrics import WorkerMetrics
from worker.pipeline.publishing import attempt_at, publish
from worker.pipeline.separation import JobControl, _fetch
from worker.watchdog import Watchdog

STEMS = ("vocals", "drums")
LEASE_MS = 60_000
KEEP_DAYS = 7.0
SETTINGS = Settings(lease_seconds=LEASE_MS / 1000, retry_seconds=10, keep_days=KEEP_DAYS)
METRICS = WorkerMetrics()
_rest = threading.local()  # the `services` that REST's code finds in this thread


def job(number: int = 0) -> Job:
    return Job(f"{number:056x}", Options("stand-in", format="wav"), f"song {number}.wav")


def song(number: int = 0) -> bytes:
    return b"song %d" % number


def stored_messages(store: Store) -> list[str]:
    """Return the songs that have a message in the store."""
    keys = (key for key, _ in store.list_objects(store.bucket_in))
    return [key.removesuffix(".json") for key in keys if key.endswith(".json")]


def make_stem(songhash: str, stem: str) -> bytes:
    """Return the content of the stem, which is the same in each separation of the song."""
    return f"{stem} of {songhash}".encode()


def make_report(songhash: str) -> Report:
    """Return the report, which is the same after each separation of the song."""
    return Report(
        songhash=songhash,
        name="song.wav",
        options=Options("stand-in", format="wav"),
        model="stand-in",
        device="none",
        stage_seconds={},
        real_time_factor=1.0,
        stems=tuple(_stem(name, make_stem(songhash, name)) for name in STEMS),
    )


def _stem(name: str, content: bytes) -> Stem:
    digest = hashlib.sha256(content).hexdigest()
    return Stem(name=name, extension="wav", bytes=len(content), sha256=digest, seconds=1.0)


def separate(
    job: Job,
    _options: Options,
    _engine: Engine,
    store: Store,
    control: JobControl,
    _watchdog: Watchdog,
    scratch: str,
    _limits: SongLimits,
) -> Report:
    """Make the calls of worker.pipeline.separation.separate_song, in its order, on bytes that are no audio."""
    control.note_progress(Stage.FETCHING, 0.0)
    fetched = Path(scratch) / str(threading.get_ident())
    try:
        _fetch(job, store, fetched)
    finally:
        fetched.unlink(missing_ok=True)  # writing over a file would wait for the disk
    with attempt_at(store, job.songhash) as attempt:
        for stem in (*STEMS, MIXTURE):
            control.note_progress(Stage.SEPARATING, 0.5)
            store.put_stem(job.songhash, stem, "wav", io.BytesIO(make_stem(job.songhash, stem)), attempt.tag)
        control.note_progress(Stage.STORING, 0.99)
        control.confirm()
        return publish(store, store, attempt, make_report(job.songhash), {"hash": job.songhash})


class StandIns:
    """A worker's models: one, whose engine is never used."""

    default = "stand-in"
    about: Mapping[str, Any] = MappingProxyType({})

    def __init__(self) -> None:
        self.offer = [Model("stand-in", STEMS, "A stand-in.")]

    def engine(self, _name: str, _loading: Callable[[], None] = lambda: None) -> Engine:
        return cast(Engine, None)

    def refresh(self) -> None:
        """Nothing changes."""


class Process:
    """One process of the service, which a test uses as a worker, as REST or as a reconciler.

    `decide` names the fault that each of its calls meets.
    """

    def __init__(self, place: Place, decide: Decide, name: str) -> None:
        self.wire = Wire(decide)
        redis = WiredRedis(place.pool, self.wire)
        self.consumer = Consumer(redis, redis, SETTINGS)
        self.queue, self.name = self.consumer.queue, name
        # The same in every run.
        self.consumer.worker, self.consumer.run_key = name, f"{self.queue.prefix}run:{name}"
        self.store = Store(cast(Any, WiredMinio(place.store.minio, self.wire)), *place.buckets)
        self.store._buckets_made, self.store._supported = True, [True]
        self.store.retrying = lambda _: self.store  # type: ignore[method-assign, assignment]  # a failed call is postponed, too
        self.drain = Drain(0)
        self.heartbeat = Heartbeat(self.consumer, 5, self.drain, Liveness(1e6))
        watches = (self.heartbeat, Watchdog(1e6))
        limits = SongLimits.from_settings(SETTINGS)
        self.worker = Worker(
            self.consumer, self.store, StandIns(), *watches, self.drain, METRICS, place.scratch, limits
        )

    def reconcile(self) -> dict[str, int]:
        """Sweep and compare, as the REST process that leads does, an hour after all objects were stored."""
        return reconcile(self.queue, self.store, KEEP_DAYS, grace_seconds=0)

    def accept(self, number: int = 0) -> tuple[bool, Status]:
        """Accept a song, as POST /separate does after it has checked the audio."""
        _rest.services = SimpleNamespace(queue=self.queue, store=self.store, settings=SETTINGS)
        return rest.api.separate._accept(job(number), Upload(io.BytesIO(song(number)), len(song(number)), {}))

    def remove(self, number: int = 0) -> str:
        """Remove a song, as DELETE /job does."""
        return remove(self.queue, self.store, job(number).songhash)


class Place:
    """A context manager: an empty Redis and an empty store, which the test itself reads without faults."""

    def __init__(self, store: Store | None = None) -> None:
        self.pool = own_redis()
        self.redis = Redis(connection_pool=self.pool)
        self.queue = Queue(self.redis, SETTINGS)
        self.memory = MemoryMinio()
        self.store = store or Store(self.memory.client())
        self.buckets = (self.store.bucket_in, self.store.bucket_out)
        self.scratch = str(self.redis.config_get("dir")["dir"])
        self._patches, self._numbers = ExitStack(), itertools.count()

    def __enter__(self) -> Place:
        for name, stand_in in (
            ("worker.loop.separate_song", separate),
            ("worker.loop._PAUSE_SECONDS", 0),
            ("worker.heartbeat._ASK_AGAIN_SECONDS", 0),
            ("rest.api.separate.services", lambda: _rest.services),
        ):
            self._patches.enter_context(patch(name, stand_in))
        self.redis.flushall()
        for script in self.queue.scripts._scripts.values():
            self.redis.script_load(script.script)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._patches.close()

    def process(self, decide: Decide = lambda _: None, name: str = "") -> Process:
        return Process(self, decide, name or f"process-{next(self._numbers)}")

    # Time

    def lapse(self, *names: str) -> None:
        """Let the leases of these workers expire, and make a reclaim due."""
        expire_leases(self.queue, *names)

    def due(self) -> None:
        """Make every delayed job due, and a reclaim as well."""
        end_delays(self.queue)

    def forsake(self) -> None:
        """End the two minutes in which a removal that was begun belongs to its remover alone."""
        for key in cast(list[bytes], self.redis.keys(self.key("job:*"))):
            if self.redis.hexists(key, "removing"):
                self.redis.hset(key, "removing", 1)

    def snapshot(self) -> dict[bytes, bytes]:
        """Return the content of Redis."""
        keys = cast(list[bytes], self.redis.keys("*"))
        return {key: cast(bytes, self.redis.dump(key)) for key in keys}

    def roll_back(self, snapshot: Mapping[bytes, bytes]) -> None:
        """Replace the content of Redis by an earlier one, as a failover does."""
        self.redis.flushall()
        for key, content in snapshot.items():
            self.redis.restore(key, 0, content)

    # Observation

    def key(self, name: str) -> str:
        return f"{self.queue.prefix}{name}"

    def workers(self) -> list[str]:
        return [name.decode() for name in cast(list[bytes], self.redis.zrange(self.key("workers"), 0, -1))]

    def status(self, number: int = 0) -> Status | None:
        return self.queue.statuses([job(number).songhash])[job(number).songhash]

    def holds(self, name: str) -> bool:
        """Say whether Redis names this worker as the holder of a running job."""
        keys = cast(list[bytes], self.redis.keys(self.key("job:*")))
        return any(self.redis.hmget(key, "status", "worker") == [b"running", name.encode()] for key in keys)

    def waiting(self) -> bool:
        """Say whether any job is in line or delayed."""
        return bool(self.redis.exists(self.queue.name, self.key("delayed")))

    def left(self) -> list[str]:
        """Return the keys of the queue that hold messages."""
        runs = cast(list[bytes], self.redis.keys(self.key("run:*")))
        keys = [self.queue.name, self.key("delayed"), self.key("dead"), *(key.decode() for key in runs)]
        return [key for key in keys if self.redis.exists(key)]

    def holders(self, number: int = 0) -> list[str]:
        """Return the keys that hold the job's message: the line, the delayed set, lists of workers."""
        message = job(number).message()
        runs = [key.decode() for key in cast(list[bytes], self.redis.keys(self.key("run:*")))]
        found = [key for key in (self.queue.name, *runs) if message in self.redis.lrange(key, 0, -1)]
        delayed = self.key("delayed")
        return [*found, delayed] if self.redis.zscore(delayed, message) is not None else found

    def messages(self) -> list[str]:
        """Return the songs that have a message in the store."""
        return stored_messages(self.store)

    def quiet(self, numbers: Collection[int]) -> bool:
        """Say whether the jobs succeeded, and no message is left in Redis or the store."""
        return all(self.status(number) == "succeeded" for number in numbers) and not (self.left() or self.messages())

    def whole(self, number: int = 0) -> None:
        """Check that the store has the job's report and stems, to the byte, and its status the same report."""
        songhash = job(number).songhash
        published, status = self.store.published(songhash), Results(self.queue, self.store).job(songhash)
        assert published, "the report, or a stem that it names, is not in the store"
        tag = published[0].tag
        assert published[0] == replace(make_report(songhash), tag=tag)
        assert status, "the job is unknown"
        assert status.report == published[0]
        for stem in STEMS:
            stored = self.store._get(self.store.bucket_out, "-".join(filter(None, (songhash, tag, f"{stem}.wav"))))
            assert stored == make_stem(songhash, stem)
