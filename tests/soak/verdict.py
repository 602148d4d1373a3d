"""What became of the jobs: the counts with which the soak ends."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from msas.errors import Problem
from msas.job import Status
from rest.job_reader import Results
from tests.soak.clients import Clients
from tests.soak.fleet import MOST_STUCK, Fleet
from tests.support.rig import Rig

_AT_ONCE = 8
_OVER = (Status.SUCCEEDED, Status.FAILED)


def judge(fleet: Fleet, clients: Clients) -> int:
    """Look at each job once the faults have ended; print the counts; return the exit status."""
    rig, jobs = fleet.rig, sorted(clients.accepted - clients.either)
    results = Results(rig.queue, rig.store)  # what callers are told: Redis may have forgotten songs a moment ago

    def quiet() -> bool:
        fleet.keep_up()  # the model kill-1 kills the first worker of a song
        return all(status in _OVER for status in _statuses(results, jobs).values()) and not rig.places()

    _until(quiet, MOST_STUCK)
    statuses = _statuses(results, jobs)
    others = _statuses(results, sorted(clients.either - clients.removed))
    stuck = [s for s, status in statuses.items() if status not in (Status.SUCCEEDED, Status.FAILED, None)]
    dead = {s for s, status in statuses.items() if status is Status.FAILED and _explained(rig, s)}
    lost = [s for s, status in statuses.items() if status is None or (status is Status.FAILED and s not in dead)]
    done = [s for s, status in statuses.items() if status is Status.SUCCEEDED]
    with ThreadPoolExecutor(_AT_ONCE) as threads:  # thousands of jobs, and each stem of each is read
        half = [s for s, whole in zip(done, threads.map(partial(_whole, rig), done), strict=True) if not whole]
    half += [s for s in clients.removed if not _until(lambda s=s: _gone(rig, s), MOST_STUCK)]  # type: ignore[misc]
    others = {s: status for s, status in others.items() if status is not Status.FAILED}
    half += [s for s, status in others.items() if not (_whole(rig, s) if status else _gone(rig, s))]
    half += clients.wrong
    twice = sum(max(0, rig.separations(s) - 1) for s in jobs)
    for name, count in sorted(fleet.counts.items()):
        print(f"  {name:28} {count}")
    print(f"  deleted {len(clients.removed)}, failed with worker_lost {len(dead)}, served {clients.served} stems")
    for name, found in (("lost", lost), ("half", half), ("stuck", stuck)):
        for songhash in found:
            print(f"  {name}: {songhash} {rig.queue.redis.hgetall(rig.queue.job_key(songhash))}")
    times = fleet.recovered or [0.0]
    print(
        f"soak: jobs={len(jobs)} faults={fleet.counts.total()} lost={len(lost)} half={len(half)} stuck={len(stuck)} "
        f"twice={twice} recover_median_s={statistics.median(times):.2f} recover_max_s={max(times):.2f}"
    )
    for error in clients.broken:
        print(f"  a client ended: {error!r}", file=sys.stderr)
    return 1 if lost or half or stuck or clients.broken or not jobs else 0


def _statuses(results: Results, songs: Sequence[str]) -> dict[str, Status | None]:
    return {song: found.status if found else None for song, found in results.jobs(songs).items()}


def _until(condition: Callable[[], bool], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with suppress(Problem):
            if condition():
                return True
        time.sleep(0.2)
    return False


def _explained(rig: Rig, songhash: str) -> bool:
    """Say whether the job failed since six workers were lost with it."""
    error = rig.job(songhash).error
    return bool(error and error["code"] == "worker_lost")


def _whole(rig: Rig, songhash: str) -> bool:
    with suppress(AssertionError, LookupError):
        rig.whole(songhash, rig.job(songhash))
        return True
    return False


def _gone(rig: Rig, songhash: str) -> bool:
    left = [
        *rig.store.list_objects(rig.settings.bucket_in, songhash),
        *rig.store.list_objects(rig.settings.bucket_out, songhash),
    ]
    return not left and rig.queue.job(songhash) is None
