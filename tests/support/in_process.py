"""A queue and a store of a test's own, and processes that use them: workers, REST pods, reconcilers.

They are made of the code that runs in production, in this interpreter, and every call of theirs passes through the
test's hands (tests/support/faults.py). Left out are the audio (`separate` makes the same calls in the same order), the
heartbeat's thread (it beats where the separation confirms) and every wait: an idle worker asks Redis with LMOVE
instead of BLMOVE; leases of a minute run out because a test says so, and so do delays.

The store is the real class. Where a test gives none, its S3 client is one in memory, which takes microseconds a call
where a real server takes milliseconds.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import threading
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from types import MappingProxyType, SimpleNamespace, TracebackType
from typing import Any, cast
from unittest.mock import patch

from redis import Redis

import rest.separate
from msas.job import Job, Stage, State
from msas.models import Model
from msas.options import Options
from msas.queue import Queue, Receiver
from msas.reconcile import Reconciler, remove
from msas.settings import Settings
from msas.status import MIXTURE
from msas.store import Store
from rest.uploads import Upload
from tests.support.fake_s3 import MemoryMinio
from tests.support.faults import Decide, Wire, WiredMinio, WiredRedis, own_redis
from worker.counts import Counts
from worker.drain import Drain
from worker.engines import Engine
from worker.heartbeat import Heartbeat, Pulse
from worker.loop import Worker
from worker.separation import Watch, _fetch

STEMS = ("vocals", "drums")
LEASE_MS = 60_000
KEEP_DAYS = 7.0
SETTINGS = Settings(lease_seconds=LEASE_MS / 1000, retry_seconds=10, keep_days=KEEP_DAYS)
COUNTS = Counts()
SPEED: dict[str, Any] = {"device": "none", "seconds": {}, "real_time_factor": 1.0}
_rest = threading.local()  # what rest.services finds in the thread of each process


def job(number: int = 0) -> Job:
    return Job(f"{number:056x}", Options("stand-in", format="wav"), f"song {number}.wav")


def song(number: int = 0) -> bytes:
    return b"song %d" % number


def stem_of(songhash: str, stem: str) -> bytes:
    """Return what every separation of the song makes of the stem."""
    return f"{stem} of {songhash}".encode()


def report_of(songhash: str) -> dict[str, Any]:
    """Return the report on every separation of the song."""
    stems: dict[str, Any] = {}
    for stem in STEMS:
        content = stem_of(songhash, stem)
        stems[stem] = {"bytes": len(content), "seconds": 1.0, "sha256": hashlib.sha256(content).hexdigest()}
    options = json.loads(json.dumps(asdict(Options("stand-in", format="wav"))))
    return {"hash": songhash, "name": "song.wav", "model": "stand-in", "stems": stems, "options": options, **SPEED}


def separate(
    job: Job, _options: Options, _engine: Engine, store: Store, watch: Watch, scratch: str, _minutes: float
) -> dict[str, Any]:
    """Make the calls of worker.separation.separate_song, in its order, on bytes that are no audio."""
    watch.report(Stage.FETCHING, 0.0)
    _fetch(job, store, Path(scratch) / str(threading.get_ident()))
    for stem in (*STEMS, MIXTURE):
        watch.confirm()
        store.put_stem(job.songhash, stem, "wav", io.BytesIO(stem_of(job.songhash, stem)))
    watch.report(Stage.STORING, 0.99)
    watch.confirm()
    store.put_peaks({"hash": job.songhash})
    report = report_of(job.songhash)
    store.put_report(report)
    return report


class StandIns:
    """What a worker offers: one model that is never asked to do anything."""

    default = "stand-in"
    about: Mapping[str, Any] = MappingProxyType({})

    def __init__(self) -> None:
        self.offer = [Model("stand-in", STEMS, "A stand-in.")]

    def engine(self, _name: str) -> Engine:
        return cast(Engine, None)


class Process:
    """One process of the service, behind a wire: a worker, REST or a reconciler, whichever a test makes it be."""

    def __init__(self, place: Place, decide: Decide, name: str) -> None:
        self.wire = Wire(decide)
        redis = WiredRedis(place.pool, self.wire)
        self.receiver = Receiver(redis, redis, SETTINGS)
        self.queue, self.name = self.receiver.queue, name
        self.receiver.worker, self.receiver.taken = name, f"{self.queue.prefix}run:{name}"  # the same in every run
        self.store = Store(cast(Any, WiredMinio(place.store.minio, self.wire)), *place.buckets)
        self.store._buckets_made = True
        self.drain = Drain(0)
        self.heartbeat = Heartbeat(self.receiver, 5, 1e6, self.drain, Pulse(1e6))
        self.heartbeat._watch = lambda: None  # type: ignore[method-assign]
        arguments = (StandIns(), self.heartbeat, self.drain, COUNTS, place.scratch, 180)
        self.worker = Worker(self.receiver, self.store, *arguments)

    @cached_property
    def reconciler(self) -> Reconciler:
        return Reconciler(self.queue, self.store, KEEP_DAYS)

    def accept(self, number: int = 0) -> tuple[bool, State]:
        """Take in a song, as POST /separate does once it knows that it is one."""
        _rest.services = SimpleNamespace(queue=self.queue, store=self.store)
        return rest.separate._accept(job(number), Upload(io.BytesIO(song(number)), len(song(number)), {}))

    def remove(self, number: int = 0) -> str:
        """Remove a song, as DELETE /job does."""
        return remove(self.queue, self.store, job(number).songhash)


class Place:
    """A context manager: an empty Redis, an empty store, and the test's own, unspoiled view of both."""

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
            ("rest.separate.services", lambda: _rest.services),
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

    # What time does.

    def lapse(self, *names: str) -> None:
        """Let the leases of these workers run out, by Redis' clock, and a tick be due."""
        now = self.queue.now()
        if names:
            self.redis.zadd(self.key("workers"), dict.fromkeys(names, now - 1), xx=True)
        self.redis.set(self.key("tick"), now - LEASE_MS // 2)

    def due(self) -> None:
        """Let all that waits for its next try have waited for long enough, and a tick be due."""
        for message in cast(list[bytes], self.redis.zrange(self.key("delayed"), 0, -1)):
            self.redis.zadd(self.key("delayed"), {message: 1})
        self.lapse()

    def forsake(self) -> None:
        """Let the two minutes be over in which nobody else may remove what somebody began to."""
        for key in cast(list[bytes], self.redis.keys(self.key("job:*"))):
            if self.redis.hexists(key, "removing"):
                self.redis.hset(key, "removing", 1)

    def snapshot(self) -> dict[bytes, bytes]:
        """Return all that Redis knows, as it is now."""
        keys = cast(list[bytes], self.redis.keys("*"))
        return {key: cast(bytes, self.redis.dump(key)) for key in keys}

    def roll_back(self, snapshot: Mapping[bytes, bytes]) -> None:
        """Let Redis know what it knew then, as after a failover, and nothing else."""
        self.redis.flushall()
        for key, content in snapshot.items():
            self.redis.restore(key, 0, content)

    # What there is.

    def key(self, name: str) -> str:
        return f"{self.queue.prefix}{name}"

    def workers(self) -> list[str]:
        return [name.decode() for name in cast(list[bytes], self.redis.zrange(self.key("workers"), 0, -1))]

    def state(self, number: int = 0) -> State | None:
        return self.queue.states([job(number).songhash])[job(number).songhash]

    def holds(self, name: str) -> bool:
        """Say whether this worker has a job in hand, as Redis sees it."""
        keys = cast(list[bytes], self.redis.keys(self.key("job:*")))
        return any(self.redis.hmget(key, "status", "worker") == [b"running", name.encode()] for key in keys)

    def waiting(self) -> bool:
        """Say whether anything is in line, or waits for its next try."""
        return bool(self.redis.exists(self.queue.name, self.key("delayed")))

    def left(self) -> list[str]:
        """Return every key of the queue's that holds a message."""
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
        """Return the songs beside which a message lies in the store."""
        return [songhash for songhash, _ in self.store.messages()]

    def quiet(self, numbers: Collection[int]) -> bool:
        """Say whether the jobs succeeded, and nothing of them is left where it should not be."""
        return all(self.state(number) == "succeeded" for number in numbers) and not (self.left() or self.messages())

    def whole(self, number: int = 0) -> None:
        """The job's report and stems are in the store, to the byte, and Redis tells what the report does."""
        songhash = job(number).songhash
        published, status = self.store.published(songhash), self.queue.status(songhash)
        assert published, "the report is there, and each stem that it names"
        assert published[0] == report_of(songhash)
        assert status
        assert status.report == published[0]
        for stem in STEMS:
            stored = self.store._get(self.store.bucket_out, f"{songhash}-{stem}.wav")
            assert stored == stem_of(songhash, stem)
