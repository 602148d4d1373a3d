"""Faults of the store: it dies, pauses, answers late, loses its buckets, or refuses access. FAULTS.md numbers them."""

from __future__ import annotations

import io
import random
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import requests

from local.child import Child
from msas.errors import StoreUnavailable, Unavailable
from msas.job import Job
from msas.options import Options
from msas.store import Store
from msas.upkeep.threads import Upkeep
from tests.support.fake_engine import STEMS
from tests.support.faultproxy import FaultProxy
from tests.support.observer import begun
from tests.support.own_store import OwnStore
from tests.support.processes import eventually
from tests.support.refusing_store import RefusingStore
from tests.support.requests import problem
from tests.support.rig import Rig, go_on, is_stopped, lasting_buckets, new_song, stop, stopped

# Where each worker is when the store dies.
POINTS = ("fetch_song:before", "put_stem:after", "put_report:before", "put_report:after")
WAITING = ("put_stem:after", "put_report:before")  # in the middle of a song, of which something is stored
TIMES: dict[str, Any] = {"lease_seconds": 6.0, "reconcile_seconds": 0.5}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnStore]:
    with OwnStore(tmp_path_factory.mktemp("own") / "store") as running:
        yield running


@pytest.fixture(scope="module")
def buckets(store: OwnStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with lasting_buckets(tmp_path_factory.mktemp("buckets") / "rig", store.settings) as buckets:
        yield buckets


@pytest.fixture
def own_rig(store: OwnStore, buckets: dict[str, str], tmp_path: Path) -> Iterator[Rig]:
    """A rig on the store of this module."""
    with Rig(tmp_path / "rig", store.settings, **buckets, **TIMES) as running:
        yield running


@dataclass(frozen=True)
class Outage:
    """What a store that died and came back did to workers at each of POINTS, and what REST answered meanwhile."""

    rig: Rig
    workers: dict[str, Child]
    started_before: dict[str, list[str]]  # songs, by the point of their worker
    started_meanwhile: dict[str, list[str]]
    waiting: list[str]
    answers: dict[str, requests.Response]
    finished: str
    refused_content: bytes


@pytest.fixture(scope="module")
def outage(store: OwnStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outage]:
    """One death of the store for all tests of it: it takes seconds to start again."""
    # Without reconcilers: they would complete the removal that is to be asked for again.
    times = {**TIMES, "reconcile_seconds": 3600.0}
    with Rig(tmp_path_factory.mktemp("outage") / "rig", store.settings, **times) as rig:
        rig.rest()
        [finished], first = rig.accept(), rig.worker()
        rig.finish([finished])
        first.stop(30)
        workers = {point: rig.worker(CRASH_AT=f"{point}:STOP") for point in POINTS}
        songs = rig.accept(count=len(POINTS))
        eventually(lambda: all(is_stopped(worker) for worker in workers.values()))
        before = {point: begun(worker.log.read_text()) for point, worker in workers.items()}
        waiting = rig.accept(count=2)

        store.child.process.kill()
        store.child.process.wait()
        refused_content = new_song()
        answers = ask_while_away(rig, finished, refused_content)
        for worker in workers.values():
            go_on(worker)
        eventually(lambda: all(noticed(point, worker) for point, worker in workers.items()))
        meanwhile = {point: begun(worker.log.read_text()) for point, worker in workers.items()}
        store.child.start()
        eventually(store.takes_objects, 60)
        rig.reclaim_until(lambda: rig.over(songs + waiting))
        rig.check(songs + waiting)

        yield Outage(rig, workers, before, meanwhile, waiting, answers, finished, refused_content)


def ask_while_away(rig: Rig, finished: str, content: bytes) -> dict[str, requests.Response]:
    return {
        "readyz": requests.get(f"{rig.url}/readyz", timeout=60),
        "post": rig.posted(content),
        "delete": requests.delete(f"{rig.url}/apiv1/remove/{finished}", timeout=60),
    }


def noticed(point: str, worker: Child) -> bool:
    """Say whether the worker waits for the store: with its song, or after what it had in hand."""
    log = worker.log.read_text()
    if point in WAITING:
        return "waiting for store" in log
    return ("message not removed" if point == "put_report:after" else "put off") in log and "store away" in log


@pytest.mark.parametrize("point", POINTS)
def test_a_store_that_dies_at_any_point_of_a_song_costs_neither_an_attempt_nor_a_separation(
    outage: Outage, point: str
) -> None:
    """Faults 27, 28, 29."""
    [song] = outage.started_before[point]

    assert outage.rig.separations(song) == 1
    assert outage.rig.job(song).attempt == 1
    assert outage.workers[point].alive


@pytest.mark.parametrize("point", ["fetch_song:before", "put_stem:after", "put_report:before"])
def test_a_worker_takes_no_song_while_the_store_is_away(outage: Outage, point: str) -> None:
    """Fault 27."""
    assert outage.started_meanwhile[point] == outage.started_before[point]
    assert [outage.rig.separations(song) for song in outage.waiting] == [1, 1]
    assert [outage.rig.job(song).attempt for song in outage.waiting] == [1, 1]


@pytest.mark.parametrize("request_name", ["readyz", "post", "delete"])
def test_rest_answers_503_while_the_store_is_away(outage: Outage, request_name: str) -> None:
    """Fault 53."""
    answer = outage.answers[request_name]

    assert problem(answer) == (503, "store_unavailable")
    assert answer.headers["Retry-After"]


def test_a_song_refused_while_the_store_was_away_is_not_in_line_and_is_accepted_later(outage: Outage) -> None:
    """Fault 53."""
    answer = outage.rig.posted(outage.refused_content)

    assert answer.status_code == 200
    assert answer.json()["reason"] == "Song enqueued for separation"
    outage.rig.finish([answer.json()["hash"]])
    assert outage.rig.separations(answer.json()["hash"]) == 1


def test_a_removal_that_failed_while_the_store_was_away_is_completed_later(outage: Outage) -> None:
    """Fault 53."""
    url = f"{outage.rig.url}/apiv1/remove/{outage.finished}"

    answer = requests.delete(url, timeout=60)

    assert answer.status_code == 200
    assert outage.rig.queue.job(outage.finished) is None
    assert outage.rig.objects(outage.finished) == []


def test_a_store_that_pauses_costs_no_attempt(own_rig: Rig, store: OwnStore) -> None:
    """Fault 27."""
    own_rig.worker()
    [song] = own_rig.accept("sleep-1")
    eventually(lambda: own_rig.running(song, "separating"))

    with stopped(store.child):
        eventually(lambda: own_rig.job(song).progress > 0.3)
    own_rig.finish([song], 60)

    assert own_rig.job(song).attempt == 1
    assert own_rig.separations(song) == 1


def test_buckets_that_were_removed_are_made_again(store: OwnStore, tmp_path: Path) -> None:
    """Fault 31."""
    with Rig(tmp_path / "rig", store.settings, **TIMES) as rig:
        rig.store.make_buckets()
        rig.ready(rig.worker())
        rig.keeper()
        for bucket in (rig.settings.bucket_in, rig.settings.bucket_out):
            rig.store.minio.remove_bucket(bucket)

        eventually(lambda: rig.store.minio.bucket_exists(rig.settings.bucket_in))
        songs = rig.accept(count=2)

        rig.finish(songs, 60)


def test_a_download_goes_on_where_the_store_ended_its_connection(own_rig: Rig, store: OwnStore) -> None:
    """Fault 27. Stores end the connections of readers that are slow."""
    host, port = store.settings.minio_host.split(":")
    proxy = FaultProxy((host, int(port)))
    content = random.Random(0).randbytes(30_000_000)  # more than the system keeps of it on the way
    own_rig.store.put_stem("0" * 56, "drums", "wav", io.BytesIO(content))
    reader = Store.from_settings(replace(own_rig.settings, minio_host=f"{host}:{proxy.port}"))

    chunks = reader.open_stem("0" * 56, "drums", "wav", 7)
    received = next(chunks)
    proxy.cut()
    received += b"".join(chunks)

    assert received == content[7:]
    proxy.close()


def test_a_download_fails_where_the_stem_was_replaced_in_between(own_rig: Rig, store: OwnStore) -> None:
    """Fault 27."""
    host, port = store.settings.minio_host.split(":")
    proxy = FaultProxy((host, int(port)))
    own_rig.store.put_stem("0" * 56, "drums", "wav", io.BytesIO(bytes(30_000_000)))
    reader = Store.from_settings(replace(own_rig.settings, minio_host=f"{host}:{proxy.port}"))

    chunks = reader.open_stem("0" * 56, "drums", "wav")
    next(chunks)
    own_rig.store.remove_stem("0" * 56, "drums", "wav")
    own_rig.store.put_stem("0" * 56, "drums", "wav", io.BytesIO(bytes(29_999_999) + b"x"))
    proxy.cut()

    with pytest.raises(StoreUnavailable, match="replaced"):
        list(chunks)
    proxy.close()


def test_a_stem_that_arrives_after_its_sender_lost_the_lease_mixes_nothing(own_rig: Rig, store: OwnStore) -> None:
    """Fault 30. What arrives late has names of its own, and its sender removes it."""
    on_their_way, arrive = list[str](), threading.Event()

    def hold_stems(method: str, path: str) -> None:
        if method == "PUT" and path.partition("?")[0].endswith(".wav"):
            on_their_way.append(path)  # the proxy has the whole stem
            arrive.wait(60)

    with RefusingStore(store.settings.minio_host, hold_stems) as proxy:
        sender = own_rig.worker(replace(own_rig.settings, minio_host=proxy.address))
        [song] = own_rig.accept("marked")
        eventually(lambda: len(on_their_way) == len(STEMS) + 1)  # and the mixture
        stop(sender)
        own_rig.worker()
        own_rig.expire_lease(sender)
        own_rig.reclaim_until(lambda: own_rig.over([song]))
        report, before = own_rig.store.report(song), set(own_rig.objects(song))

        arrive.set()
        eventually(lambda: set(own_rig.objects(song)) > before)  # the late stems have arrived
        go_on(sender)
        eventually(lambda: "lease lost" in sender.log.read_text())

        own_rig.check([song])
    assert own_rig.store.report(song) == report
    assert set(own_rig.objects(song)) <= before
    assert own_rig.job(song).attempt == 2
    assert own_rig.separations(song) == 2


def test_songs_that_the_store_refuses_to_one_worker_are_done_by_another(own_rig: Rig) -> None:
    """Fault 31."""
    refused = own_rig.worker(replace(own_rig.settings, minio_secret_key="wrong"))
    songs = own_rig.accept(count=3)
    eventually(lambda: "put off" in refused.log.read_text())

    own_rig.worker()
    own_rig.finish(songs, 60)

    assert {own_rig.job(song).attempt for song in songs} == {1}
    assert refused.log.read_text().count("job claimed") == 1
    assert refused.alive


def test_a_rest_that_the_store_refuses_is_not_ready(own_rig: Rig) -> None:
    """Fault 31."""
    own_rig.rest(replace(own_rig.settings, minio_secret_key="wrong"))

    answer = requests.get(f"{own_rig.url}/readyz", timeout=30)

    assert problem(answer) == (503, "store_unavailable")
    assert answer.headers["Retry-After"]


def test_a_process_that_the_store_refuses_leaves_the_reconciling_to_others(own_rig: Rig) -> None:
    """Fault 31."""
    refused = Store.from_settings(replace(own_rig.settings, minio_secret_key="wrong"))
    keepers = [Upkeep(own_rig.queue, store, own_rig.settings) for store in (refused, own_rig.store)]
    own_rig.store.put_message("a" * 56, Job("a" * 56, Options("quick")).message())

    for keeper in keepers:
        with suppress(Unavailable):
            keeper.reconcile()

    assert own_rig.queue.list_all_jobs()[0] == ["a" * 56]
