"""The processes of the soak: workers, REST, Redis and the store, and how they are kept up."""

from __future__ import annotations

import collections
import random
import signal
import subprocess
import threading
import time
from contextlib import suppress
from typing import cast

from local.child import Child
from tests.support.faultproxy import FaultProxy
from tests.support.own_store import OwnStore
from tests.support.refusing_store import RefusingStore
from tests.support.rig import Rig

WORKERS = 3
MOST_STUCK = 60.0  # seconds after the last fault
_DRAIN_SECONDS = 10.0
_CRASHING = 0.3  # of the workers, which end at one of their first calls
_CALLS = (
    "claim",
    "renew",
    "settle",
    "take_next",
    "blmove",
    "fetch_song",
    "put_stem",
    "put_report",
    "published",
    "remove_message",
)


class Fleet:
    """Each worker that ended is started again, as Kubernetes does. `counts` says how often each fault was injected;
    `recovered` how long, in seconds, the jobs of killed workers took to run again."""

    def __init__(
        self,
        rig: Rig,
        store: OwnStore,
        refusing: RefusingStore,
        redis_proxy: FaultProxy,
        store_proxy: FaultProxy,
        seed: int,
    ) -> None:
        self.rig, self.store, self.refusing = rig, store, refusing
        self.redis_proxy, self.store_proxy = redis_proxy, store_proxy
        self.dice = random.Random(seed)
        self.rest = rig.rest()
        self.workers = [rig.worker() for _ in range(WORKERS)]
        self.counts: collections.Counter[str] = collections.Counter()
        self.recovered: list[float] = []
        self._over = False
        self._watchers: list[threading.Thread] = []

    def keep_up(self) -> None:
        """Start each process anew that ended."""
        for number, worker in enumerate(self.workers):
            if not worker.alive:
                self.workers[number] = self._next_worker()
        for server in (self.rest, self.rig.redis, self.store.child):
            if not server.alive:
                server.start()

    def replace(self, worker: Child, **variables: str) -> None:
        """Tell a worker to stop, and start one with these variables in its place once it has ended."""
        worker.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            worker.process.wait(_DRAIN_SECONDS)
        worker.process.kill()
        worker.process.wait()
        self.workers[self.workers.index(worker)] = self.rig.worker(None, **variables)

    def calm(self) -> None:
        """End the faults, and replace all workers."""
        self._over = True
        self.redis_proxy.calm()
        self.store_proxy.calm()
        self.refusing.refuse = lambda *_: None
        self.rig.queue.redis.config_set("maxmemory", 0)
        for worker in self.workers:
            worker.process.kill()
            worker.process.wait()
        self.keep_up()
        for watcher in self._watchers:
            watcher.join(MOST_STUCK)

    def kill(self, worker: Child) -> None:
        """Kill a worker, and note how long its job then takes to run again."""
        held = self._held_by(worker)
        worker.process.kill()
        worker.process.wait()
        if held:
            watcher = threading.Thread(target=self._watch, args=(*held, time.monotonic()), daemon=True)
            watcher.start()
            self._watchers.append(watcher)

    def pause(self, child: Child, seconds: float) -> None:
        with suppress(ProcessLookupError):
            child.process.send_signal(signal.SIGSTOP)
            time.sleep(seconds)
            child.process.send_signal(signal.SIGCONT)

    def restart(self, child: Child, seconds_between: float = 0.0) -> None:
        """Kill a process, and start it after a time."""
        child.process.kill()
        child.process.wait()
        time.sleep(seconds_between)
        child.start()

    def _next_worker(self) -> Child:
        """Start a worker, which may be one that ends at one of its first calls."""
        if self._over or self.dice.random() > _CRASHING:
            return self.rig.worker()
        self.counts["crash_point"] += 1
        return self.rig.worker(CRASH_AT=f"{self.dice.choice(_CALLS)}:{self.dice.choice(('before', 'after'))}")

    def _held_by(self, worker: Child) -> tuple[str, bytes] | None:
        """Return the songhash and token of the job that the worker runs, if any."""
        with suppress(Exception):
            for songhash in self.rig.queue.list_all_jobs()[1]:
                found = self.rig.queue.redis.hmget(self.rig.queue.job_key(songhash), "worker", "token")
                name, token = cast(list[bytes | None], found)
                if name and token and f"-{worker.process.pid}-" in name.decode():
                    return songhash, token
        return None

    def _watch(self, songhash: str, token: bytes, since: float) -> None:
        """Measure how long it takes until the job runs again or has ended."""
        while time.monotonic() - since < 10 * MOST_STUCK:
            with suppress(Exception):
                status, now = self.rig.queue.redis.hmget(self.rig.queue.job_key(songhash), "status", "token")
                if status in (b"succeeded", b"failed", b"cancelled") or (status == b"running" and now != token):
                    self.recovered.append(time.monotonic() - since)
                    return
            time.sleep(0.02)
