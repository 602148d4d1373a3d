"""Each call that a job makes, to Redis or the store, is spoiled in each way; the job is done all the same.

The thousands of runs are on a store in memory; on a real S3 server, each call is spoiled once.
The long form spoils any two calls of a run: a fault, then another in all that follows it.
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
from msas.store import Store
from tests.queue.crash_plan import Plan, finish
from tests.support import rig
from tests.support.fake_engine import StandInEngine
from tests.support.faults import KILLS, Fault
from tests.support.in_process import STEMS, Place, job, separate
from worker.separation import separate_song

BOTH = (0, 1)


def check(place: Place, plan: Plan) -> None:
    """The oracle: both jobs are published whole, once, and cost no more attempts than workers died at them."""
    attempts = 0
    for number in BOTH:
        place.whole(number)
        assert place.memory.puts[f"{job(number).songhash}-report.json"] <= 1 + plan.resent
        attempts += int(place.redis.hget(place.queue.job_key(job(number).songhash), "attempt") or 0)
    assert attempts == len(BOTH) + plan.blamed


def spoil(faults: Mapping[int, Fault], store: Store | None = None) -> Plan:
    """Do two jobs and meet these faults. Fail where anything is not as it should be in the end."""
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
        for second in range(first + 1, len(spoil({first: fault}).calls)):
            yield from ({first: fault, second: another} for another in Fault)


@cache
def calls() -> list[str]:
    """Return the calls of two jobs that meet no fault, and of the look for a third."""
    return spoil({}).calls


def test_a_job_makes_every_kind_of_call_that_is_spoiled_here() -> None:
    fetch = {"set", "beat idle", "lindex", "blmove", "claim", "get report", "fget song"}
    store = {"beat", "put stem", "put peaks", "put report", "settle", "remove message"}

    assert set(calls()) == {f"worker: {name}" for name in fetch | store}


@pytest.mark.parametrize("fault", Fault)
def test_two_jobs_are_published_once_and_whole_whichever_call_meets_the_fault(fault: Fault) -> None:
    for number in range(len(calls())):
        spoil({number: fault})


@pytest.mark.parametrize("fault", KILLS)
def test_a_worker_killed_before_its_claim_costs_no_attempt(fault: Fault) -> None:
    before = range(calls().index("worker: claim"))
    assert {spoil({number: fault}).blamed for number in before} == {0}


@pytest.mark.parametrize("fault", KILLS)
def test_a_worker_killed_after_its_claim_costs_one_attempt(fault: Fault) -> None:
    working = range(calls().index("worker: claim") + 1, calls().index("worker: settle"))
    assert {spoil({number: fault}).blamed for number in working} == {1}


@pytest.mark.long
@pytest.mark.parametrize("fault", Fault)
def test_two_jobs_are_published_once_and_whole_under_any_pair_of_faults(fault: Fault) -> None:
    for faults in pairs(fault):
        spoil(faults)


@pytest.mark.parametrize("fault", [Fault.KILLED_AFTER, Fault.REPLY_LOST])
def test_on_a_real_store_two_jobs_are_published_once_whichever_call_meets_the_fault(
    service: Service, fault: Fault
) -> None:
    nonce = secrets.token_hex(4)
    store = Store.from_settings(replace(service.settings, bucket_in=f"in-{nonce}", bucket_out=f"out-{nonce}"))
    store.ready()
    for number in range(len(calls())):
        spoil({number: fault}, store)
        for each in BOTH:
            store.remove_song(job(each).songhash)


def test_the_fake_separation_makes_the_calls_of_the_real_one(tmp_path: Path) -> None:
    """So that what is shown here of the one is shown of the other."""
    assert calls_of_separation(separate, tmp_path) == calls_of_separation(separate_song, tmp_path)


def calls_of_separation(separating: Callable[..., object], folder: Path) -> tuple[str, list[str], str, str]:
    """Return the first call, those between (stems are stored at once, each confirmed first), and the last two."""
    plan = Plan()
    with Place() as place:
        process = place.process(partial(plan.decide, "worker"))
        place.store.put_song(job().songhash, io.BytesIO(rig.song(0)), len(rig.song(0)))
        place.queue.enqueue(job())
        lease = process.receiver.take()
        assert lease
        engine = StandInEngine("quick", folder)
        engine.stems = STEMS
        plan.calls.clear()
        with process.heartbeat.holding(lease):
            separating(job(), job().options, engine, process.store, process.heartbeat, str(folder), 1.0)
    return plan.calls[0], sorted(plan.calls[1:-2]), plan.calls[-2], plan.calls[-1]
