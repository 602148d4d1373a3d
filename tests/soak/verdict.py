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
from msas.job import State
from msas.results import Results
from tests.soak.clients import Clients
from tests.soak.fleet import MOST_STUCK, Fleet
from tests.support.rig import Rig

_AT_ONCE = 8
_OVER = (State.SUCCEEDED, State.FAILED)


def judge(fleet: Fleet, clients: Clients) -> int:
    """Look at each job once the faults have ended; print the counts; return the exit status."""
    rig, jobs = fleet.rig, sorted(clients.accepted - clients.either)
    results = Results(rig.queue, rig.store)  # what callers are told: Redis may have forgotten songs a moment ago

    def quiet() -> bool:
        fleet.keep_up()  # the model kill-1 kills the first worker of a song
        return all(state in _OVER for state in _states(results, jobs).values()) and not rig.places()

    _until(quiet, MOST_STUCK)
    states = _states(results, jobs)
    others = _states(results, sorted(clients.either - clients.removed))
    stuck = [s for s, state in states.items() if state not in (State.SUCCEEDED, State.FAILED, None)]
    dead = {s for s, state in states.items() if state is State.FAILED and _explained(rig, s)}
    lost = [s for s, state in states.items() if state is None or (state is State.FAILED and s not in dead)]
    done = [s for s, state in states.items() if state is State.SUCCEEDED]
    with ThreadPoolExecutor(_AT_ONCE) as threads:  # thousands of jobs, and each stem of each is read
        half = [s for s, whole in zip(done, threads.map(partial(_whole, rig), done), strict=True) if not whole]
    half += [s for s in clients.removed if not _until(lambda s=s: _gone(rig, s), MOST_STUCK)]  # type: ignore[misc]
    others = {s: state for s, state in others.items() if state is not State.FAILED}
    half += [s for s, state in others.items() if not (_whole(rig, s) if state else _gone(rig, s))]
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


def _states(results: Results, songs: Sequence[str]) -> dict[str, State | None]:
    return {song: status.state if status else None for song, status in results.statuses(songs).items()}


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
