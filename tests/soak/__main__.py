"""`python -m tests.soak [--minutes 20] [--seed 1]`: the whole service under random faults.

Clients post songs over HTTP without a pause and delete some. Every few seconds a fault meets a worker, Redis, REST or
the store: it is killed, paused, told to stop, cut off, silenced, slowed down or emptied. Then the faults end, and each
accepted job is checked. The last line counts:

    jobs    accepted and not deleted           lost   of these, unknown or failed, unless by three lost workers
    half    published without all its stems, served with other bytes than its report names, or deleted in part
    stuck   not ended a minute after the last fault
    twice   separations beyond the first of each job (work done again, never published twice)
    recover seconds from the SIGKILL of a worker until its job ran again or had ended
"""

from __future__ import annotations

import argparse
import collections
import random
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from local.child import Child
from msas.job import State
from msas.problem import Problem
from msas.settings import Settings
from tests.soak.clients import Clients
from tests.support import rig as rigs
from tests.support.faultproxy import FaultProxy
from tests.support.own_store import OwnStore
from tests.support.rig import Rig

WORKERS = 3
PAUSE = (0.5, 3.0)  # seconds from one fault to the next
_CRASHING = 0.3  # of the workers, which end at one of their first calls
MOST_STUCK = 60.0  # seconds after the last fault
_CALLS = (
    "claim",
    "beat",
    "settle",
    "take",
    "blmove",
    "fetch_song",
    "put_stem",
    "put_report",
    "published",
    "remove_message",
)


class Soak:
    """The service and the faults that it meets: the methods whose names begin with `fault_`."""

    def __init__(self, rig: Rig, store: OwnStore, redis_proxy: FaultProxy, store_proxy: FaultProxy, seed: int) -> None:
        self.rig, self.store, self.redis_proxy, self.store_proxy = rig, store, redis_proxy, store_proxy
        self.dice = random.Random(seed)
        self.rest = rig.rest()
        self.workers = [rig.worker() for _ in range(WORKERS)]
        self.counts: collections.Counter[str] = collections.Counter()
        self.recovered: list[float] = []
        self.over = False
        self._watchers: list[threading.Thread] = []

    def fault(self) -> None:
        """Inject one fault, chosen at random."""
        faults = [name for name in dir(self) if name.startswith("fault_")]
        name = self.dice.choice(faults)
        self.counts[name.removeprefix("fault_")] += 1
        with (self.rig.folder / "faults.log").open("a") as log:
            log.write(f"{datetime.now(UTC).isoformat()} {name}\n")
        getattr(self, name)()

    def keep_up(self) -> None:
        """Restart each process that ended, as Kubernetes does."""
        for number, worker in enumerate(self.workers):
            if not worker.alive:
                self.workers[number] = self._next_worker()
        for server in (self.rest, self.rig.redis, self.store.child):
            if not server.alive:
                server.start()

    def _next_worker(self) -> Child:
        """Start a worker, which may be one that ends at one of its first calls."""
        if self.over or self.dice.random() > _CRASHING:
            return self.rig.worker()
        self.counts["crash_point"] += 1
        return self.rig.worker(CRASH_AT=f"{self.dice.choice(_CALLS)}:{self.dice.choice(('before', 'after'))}")

    def calm(self) -> None:
        """End the faults, and replace all workers."""
        self.over = True
        self.redis_proxy.calm()
        self.store_proxy.calm()
        for worker in self.workers:
            worker.process.kill()
            worker.process.wait()
        self.keep_up()
        for watcher in self._watchers:
            watcher.join(MOST_STUCK)

    def fault_worker_killed(self) -> None:
        worker = self.dice.choice(self.workers)
        held = self._held_by(worker)
        worker.process.kill()
        worker.process.wait()
        if held:
            watcher = threading.Thread(target=self._watch, args=(*held, time.monotonic()), daemon=True)
            watcher.start()
            self._watchers.append(watcher)

    def fault_worker_told_to_stop(self) -> None:
        self.dice.choice(self.workers).process.terminate()

    def fault_worker_told_and_killed(self) -> None:
        worker = self.dice.choice(self.workers)
        worker.process.terminate()
        time.sleep(self.dice.uniform(0, 0.2))
        worker.process.kill()

    def fault_worker_paused(self) -> None:
        self._pause(self.dice.choice(self.workers), self.dice.uniform(0.2, 3 * rigs.LEASE))

    def fault_all_workers_killed(self) -> None:
        for worker in self.workers:
            worker.process.kill()

    def fault_redis_killed(self) -> None:
        self.rig.redis.process.kill()
        self.rig.redis.process.wait()
        time.sleep(self.dice.uniform(0, 3 * rigs.LEASE))
        self.rig.redis.start()

    def fault_redis_paused(self) -> None:
        self._pause(self.rig.redis, self.dice.uniform(0.1, 2 * rigs.LEASE))

    def fault_redis_emptied(self) -> None:
        with suppress(Exception):
            self.rig.queue.redis.flushall()

    def fault_redis_scripts_flushed(self) -> None:
        with suppress(Exception):
            self.rig.queue.redis.script_flush()

    def fault_redis_connections_cut(self) -> None:
        self.redis_proxy.cut()

    def fault_redis_replies_lost(self) -> None:
        self.redis_proxy.lose_replies = self.dice.randrange(1, 6)

    def fault_redis_silent(self) -> None:
        self._silence(self.redis_proxy, 2 * rigs.LEASE)

    def fault_redis_slow(self) -> None:
        self._slow(self.redis_proxy, 0.2)

    def fault_rest_killed(self) -> None:
        self.rest.process.kill()
        self.rest.process.wait()
        self.rest.start()

    def fault_store_killed(self) -> None:
        self.store.child.process.kill()
        self.store.child.process.wait()
        self.store.child.start()

    def fault_store_paused(self) -> None:
        self._pause(self.store.child, self.dice.uniform(0.2, 4))

    def fault_store_connections_cut(self) -> None:
        self.store_proxy.cut()

    def fault_store_replies_lost(self) -> None:
        self.store_proxy.lose_replies = self.dice.randrange(1, 4)

    def fault_store_slow(self) -> None:
        self._slow(self.store_proxy, 0.1)

    def fault_duplicate_message(self) -> None:
        with suppress(Problem):
            for songhash, _ in self.rig.store.messages():
                message = self.rig.store.message(songhash)
                if message:
                    self.rig.queue.redis.lpush(self.rig.queue.name, message)
                return

    def fault_garbage_message(self) -> None:
        with suppress(Exception):
            self.rig.queue.redis.lpush(self.rig.queue.name, self.dice.randbytes(50))

    def _pause(self, child: Child, seconds: float) -> None:
        with suppress(ProcessLookupError):
            child.process.send_signal(signal.SIGSTOP)
            time.sleep(seconds)
            child.process.send_signal(signal.SIGCONT)

    def _silence(self, proxy: FaultProxy, seconds: float) -> None:
        proxy.silent = True
        time.sleep(self.dice.uniform(0.1, seconds))
        proxy.silent = False

    def _slow(self, proxy: FaultProxy, delay: float) -> None:
        proxy.delay = delay
        time.sleep(2)
        proxy.delay = 0

    def _held_by(self, worker: Child) -> tuple[str, bytes] | None:
        """Return the songhash and token of the job that the worker runs, if any."""
        with suppress(Exception):
            for songhash in self.rig.queue.overview()[1]:
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


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    chosen = parser.parse_args()
    print(f"soak: {chosen.minutes:g} minutes, seed {chosen.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="msas-soak-"))
    with OwnStore(folder / "store") as store:
        status = run(folder, store, chosen.minutes * 60, chosen.seed)
    if status == 0:
        shutil.rmtree(folder)
    else:
        print(f"The logs of every process, and faults.log, are in {folder}", file=sys.stderr)
    return status


def run(folder: Path, store: OwnStore, seconds: float, seed: int) -> int:
    """Inject faults for `seconds`; print the counts; return the exit status."""
    host, port = store.settings.minio_host.split(":")
    store_proxy, redis_proxy = FaultProxy((host, int(port))), FaultProxy(("127.0.0.1", 0))
    spoiled: Settings = replace(store.settings, minio_host=f"127.0.0.1:{store_proxy.port}")
    with Rig(folder / "rig", spoiled, redis_port=redis_proxy.port, reconcile_seconds=1.0) as rig:
        redis_proxy.target = ("127.0.0.1", rig.own_redis_port)
        soak = Soak(rig, store, redis_proxy, store_proxy, seed)
        clients = Clients(rig, seed)
        with clients.posting():
            _inject(soak, clients, seconds)
        soak.calm()
        return _verdict(soak, clients)


def _inject(soak: Soak, clients: Clients, seconds: float) -> None:
    until, told = time.monotonic() + seconds, time.monotonic()
    while time.monotonic() < until:
        time.sleep(soak.dice.uniform(*PAUSE))
        soak.fault()
        soak.keep_up()
        if time.monotonic() - told > 30:
            told = time.monotonic()
            left = (until - told) / 60
            print(f"  {left:4.1f} min left, {len(clients.accepted)} jobs, {soak.counts.total()} faults", flush=True)


def _verdict(soak: Soak, clients: Clients) -> int:
    rig, jobs = soak.rig, clients.accepted - clients.either

    def quiet() -> bool:
        soak.keep_up()  # the model kill-1 kills the first worker of a song
        return rig.over(jobs) and not rig.places()

    _until(quiet, MOST_STUCK)
    states = rig.queue.states(sorted(jobs))
    others = rig.queue.states(sorted(clients.either - clients.removed))
    stuck = [s for s, state in states.items() if state not in (State.SUCCEEDED, State.FAILED, None)]
    dead = {s for s, state in states.items() if state is State.FAILED and _explained(rig, s)}
    lost = [s for s, state in states.items() if state is None or (state is State.FAILED and s not in dead)]
    half = [s for s, state in states.items() if state is State.SUCCEEDED and not _whole(rig, s)]
    half += [s for s in clients.removed if not _until(lambda s=s: _gone(rig, s), MOST_STUCK)]  # type: ignore[misc]
    others = {s: state for s, state in others.items() if state is not State.FAILED}
    half += [s for s, state in others.items() if not (_whole(rig, s) if state else _gone(rig, s))]
    half += clients.wrong
    twice = sum(max(0, rig.separations(s) - 1) for s in jobs)
    for name, count in sorted(soak.counts.items()):
        print(f"  {name:28} {count}")
    print(f"  deleted {len(clients.removed)}, failed with worker_lost {len(dead)}, served {clients.served} stems")
    for name, found in (("lost", lost), ("half", half), ("stuck", stuck)):
        for songhash in found:
            print(f"  {name}: {songhash} {rig.queue.redis.hgetall(rig.queue.job_key(songhash))}")
    times = soak.recovered or [0.0]
    print(
        f"soak: jobs={len(jobs)} faults={soak.counts.total()} lost={len(lost)} half={len(half)} stuck={len(stuck)} "
        f"twice={twice} recover_median_s={statistics.median(times):.2f} recover_max_s={max(times):.2f}"
    )
    for error in clients.broken:
        print(f"  a client ended: {error!r}", file=sys.stderr)
    return 1 if lost or half or stuck or clients.broken or not jobs else 0


def _until(condition: Callable[[], bool], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with suppress(Problem):
            if condition():
                return True
        time.sleep(0.2)
    return False


def _explained(rig: Rig, songhash: str) -> bool:
    """Say whether the job failed since three workers were lost with it."""
    error = rig.status(songhash).error
    return bool(error and error["code"] == "worker_lost")


def _whole(rig: Rig, songhash: str) -> bool:
    with suppress(AssertionError, LookupError):
        rig.whole(songhash, rig.status(songhash))
        return True
    return False


def _gone(rig: Rig, songhash: str) -> bool:
    left = [*rig.store._list(rig.settings.bucket_in, songhash), *rig.store._list(rig.settings.bucket_out, songhash)]
    return not left and rig.queue.status(songhash) is None


if __name__ == "__main__":
    sys.exit(main())
