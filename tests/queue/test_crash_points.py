"""Each call of a worker, to Redis or the store, meets each fault once; its jobs are published all the same.

The store is in memory; the calls to the store are repeated on a real S3 server. The long form combines two faults.
"""

from __future__ import annotations

import io
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import pytest

from local import Service
from msas.cost import SongLimits
from msas.store import Store
from tests.queue.crash_plan import Plan, finish
from tests.support import rig
from tests.support.fake_engine import StandInEngine
from tests.support.faults import KILLS, Fault
from tests.support.in_process import SETTINGS, STEMS, Place, job, separate
from worker.pipeline.separation import separate_song
from worker.watchdog import Watchdog

BOTH = (0, 1)


def check(place: Place, plan: Plan) -> None:
    """Both jobs are published whole and once, with an attempt more for each worker that was killed with a job."""
    attempts = 0
    for number in BOTH:
        place.whole(number)
        assert place.memory.puts[f"{job(number).songhash}-report.json"] <= 1 + plan.resent, "published twice"
        attempts += int(place.redis.hget(place.queue.job_key(job(number).songhash), "attempt") or 0)
    assert attempts == len(BOTH) + plan.lost_workers, "attempts"


def run_with(faults: Mapping[int, Fault], store: Store | None = None) -> Plan:
    """Do two jobs under these faults, by the numbers of the calls, and check the outcome."""
    plan = Plan(faults)
    try:
        with Place(store) as place:
            for number in BOTH:
                place.process().accept(number)
            finish(place, plan, lambda: place.quiet(BOTH))
            check(place, plan)
    except Exception as error:
        raise AssertionError(f"{plan}: {type(error).__name__} {error}") from error
    return plan


def pairs(fault: Fault) -> Iterator[dict[int, Fault]]:
    """Yield this fault, at each call, followed by each fault that a later call can meet."""
    for first in range(len(calls())):
        for second in range(first + 1, len(run_with({first: fault}).calls)):
            yield from ({first: fault, second: another} for another in Fault)


@cache
def calls() -> list[str]:
    """Return the calls of two jobs that meet no fault, and of the turn that finds no third."""
    return run_with({}).calls


def test_two_jobs_make_each_kind_of_call_that_a_worker_makes() -> None:
    take = {"advertise_models", "take_next", "blmove", "claim"}
    read = {"get report", "fget song", "list_objects"}
    write = {"renew", "put first", "put stem", "put peaks", "put report", "remove first", "settle", "remove message"}
    expected = {f"worker: {name}" for name in take | read | write}

    assert expected - set(calls()) == set(), "calls that are no longer made"
    assert set(calls()) - expected == set(), "calls that are new"


@pytest.mark.parametrize("fault", Fault)
def test_two_jobs_are_published_once_and_whole_whichever_call_meets_the_fault(fault: Fault) -> None:
    for number in range(len(calls())):
        run_with({number: fault})


@pytest.mark.parametrize("fault", KILLS)
def test_a_worker_killed_before_its_claim_costs_no_attempt(fault: Fault) -> None:
    before_claim = range(calls().index("worker: claim"))

    assert [run_with({number: fault}).lost_workers for number in before_claim] == [0] * len(before_claim)


@pytest.mark.parametrize("fault", KILLS)
def test_a_worker_killed_between_claim_and_settle_costs_one_attempt(fault: Fault) -> None:
    working = range(calls().index("worker: claim") + 1, calls().index("worker: settle"))

    assert [run_with({number: fault}).lost_workers for number in working] == [1] * len(working)


@pytest.mark.long
@pytest.mark.parametrize("fault", Fault)
def test_two_jobs_are_published_once_and_whole_under_any_pair_of_faults(fault: Fault) -> None:
    for faults in pairs(fault):
        run_with(faults)


@pytest.fixture(scope="module")
def real_store(service: Service) -> Store:
    """Empty buckets of these tests on the service's S3 server."""
    nonce = secrets.token_hex(4)
    store = Store.from_settings(replace(service.settings, bucket_in=f"in-{nonce}", bucket_out=f"out-{nonce}"))
    store.make_buckets()
    return store


@pytest.mark.parametrize("fault", [Fault.KILLED_AFTER, Fault.REPLY_LOST])
def test_on_a_real_store_two_jobs_are_published_once_whichever_call_to_it_meets_the_fault(
    real_store: Store, fault: Fault
) -> None:
    to_store = [number for number, call in enumerate(calls()) if call.split()[1] in ("get", "fget", "put", "remove")]
    assert to_store

    for number in to_store:
        run_with({number: fault}, real_store)
        for each in BOTH:
            real_store.remove_song(job(each).songhash)


def test_the_fake_separation_makes_the_calls_of_the_real_one(tmp_path: Path) -> None:
    """What is shown here of the fake separation holds for the real one."""
    assert calls_of_separation(separate, tmp_path) == calls_of_separation(separate_song, tmp_path)


def calls_of_separation(separating: Callable[..., object], folder: Path) -> list[str]:
    """Return the calls of one separation; those between the first and the last two, whose order is free, sorted."""
    plan = Plan()
    with Place() as place:
        process = place.process(partial(plan.decide, "worker"))
        place.store.put_song(job().songhash, io.BytesIO(rig.song(0)), len(rig.song(0)))
        place.queue.enqueue(job())
        lease = process.consumer.claim_next()
        assert lease
        engine = StandInEngine("quick", folder)
        engine.stems = STEMS
        plan.calls.clear()
        with process.heartbeat.holding(lease):
            limits = SongLimits.from_settings(SETTINGS)
            watches = (process.heartbeat, Watchdog(600))
            separating(job(), job().options, engine, process.store, *watches, str(folder), limits)
    return [plan.calls[0], *sorted(plan.calls[1:-2]), *plan.calls[-2:]]
