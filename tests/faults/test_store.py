"""The store dies, answers late, forgets its buckets, or lets nobody in. Numbers: FAULTS.md."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import requests

from local.child import Child
from msas.job import Job
from msas.options import Options
from msas.problem import Unavailable
from msas.store import Store
from msas.upkeep import Upkeep
from tests.support.fake_engine import STEMS
from tests.support.faultproxy import FaultProxy
from tests.support.observer import begun
from tests.support.own_store import OwnStore
from tests.support.processes import eventually
from tests.support.rig import BOUND, RECONCILE, Rig, go_on, is_stopped, stop, stopped

SLACK = 5.0  # for a server that starts, and for those that look for it once a second
# Where each worker is when the store dies.
POINTS = ("fetch_song:before", "put_stem:after", "put_report:before", "put_report:after")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnStore]:
    with OwnStore(tmp_path_factory.mktemp("own") / "store") as running:
        yield running


@pytest.fixture
def rig(store: OwnStore, tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path / "rig", store.settings) as running:
        yield running


@dataclass(frozen=True)
class Survivor:
    """A rig whose one worker stood at a certain point when the store died, and its three songs, all done since."""

    rig: Rig
    worker: Child
    songs: list[str]
    begun_meanwhile: list[str]


@pytest.fixture(scope="module")
def outage(store: OwnStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Survivor]]:
    """One death of the store, met at every point of POINTS at once: it takes long to start again."""
    with ExitStack() as stack:
        rigs = [stack.enter_context(Rig(tmp_path_factory.mktemp("rig") / "rig", store.settings)) for _ in POINTS]
        workers = [rig.worker(CRASH_AT=f"{point}:STOP") for point, rig in zip(POINTS, rigs, strict=True)]
        for rig, worker in zip(rigs, workers, strict=True):
            rig.ready(worker)
        songs = [rig.accept(count=3) for rig in rigs]
        eventually(lambda: all(is_stopped(worker) for worker in workers))
        store.child.process.kill()
        store.child.process.wait()
        for worker in workers:
            go_on(worker)
        words = ["message kept" if point == "put_report:after" else "put off" for point in POINTS]
        eventually(lambda: all(w in worker.log.read_text() for w, worker in zip(words, workers, strict=True)))
        eventually(lambda: workers[0].log.read_text().count("store away") > 1)
        meanwhile = [begun(worker.log.read_text()) for worker in workers]
        store.child.start()
        eventually(store.takes_objects, 60)
        for rig, those in zip(rigs, songs, strict=True):
            rig.finish(those, 2 * RECONCILE + BOUND + SLACK)
        yield dict(zip(POINTS, map(Survivor, rigs, workers, songs, meanwhile), strict=True))


def test_27_a_store_that_died_before_the_song_was_fetched_costs_no_attempt(outage: dict[str, Survivor]) -> None:
    met = outage["fetch_song:before"]
    assert met.begun_meanwhile == met.songs[:1], "nothing more is taken while the store is away"
    assert [met.rig.separations(song) for song in met.songs] == [1, 1, 1]
    assert [met.rig.status(song).attempt for song in met.songs] == [1, 1, 1]
    assert met.worker.alive


def test_28_a_song_of_which_some_stems_were_stored_is_separated_again(outage: dict[str, Survivor]) -> None:
    """Stems are stored while they are made, and kept nowhere else; still no attempt is used up."""
    met = outage["put_stem:after"]
    assert met.begun_meanwhile == met.songs[:1]
    assert [met.rig.separations(song) for song in met.songs] == [2, 1, 1]
    assert [met.rig.status(song).attempt for song in met.songs] == [1, 1, 1]
    assert met.worker.alive


@pytest.mark.parametrize(("point", "separations"), [("put_report:before", 2), ("put_report:after", 1)])
def test_29_a_store_that_dies_around_the_report_publishes_the_song_whole(
    outage: dict[str, Survivor], point: str, separations: int
) -> None:
    met = outage[point]
    assert [met.rig.separations(song) for song in met.songs] == [separations, 1, 1]
    assert [met.rig.status(song).attempt for song in met.songs] == [1, 1, 1]
    assert met.worker.alive


def test_27_31_a_store_that_only_pauses_is_waited_for_and_buckets_that_somebody_removed_are_made_again(
    rig: Rig, store: OwnStore
) -> None:
    rig.ready(rig.worker())
    [song] = rig.accept("sleep-1")
    eventually(lambda: rig.running(song, "separating"))
    with stopped(store.child):
        eventually(lambda: rig.status(song).progress > 0.3)
    rig.finish([song], BOUND)
    assert (rig.status(song).attempt, rig.separations(song)) == (1, 1)
    for bucket in (rig.settings.bucket_in, rig.settings.bucket_out):
        for found in rig.store.minio.list_objects(bucket):
            rig.store.minio.remove_object(bucket, found.object_name or "")
        rig.store.minio.remove_bucket(bucket)
    eventually(lambda: rig.store.minio.bucket_exists(rig.settings.bucket_in), 2 * RECONCILE + SLACK)
    rig.finish(rig.accept(count=2), BOUND + SLACK)


def test_30_a_stem_that_comes_in_long_after_its_sender_gave_up_mixes_nothing(store: OwnStore, tmp_path: Path) -> None:
    """It passed its sender's last look at the lease; but the same song gives the same bytes, whoever sends them."""
    host, port = store.settings.minio_host.split(":")
    proxy = FaultProxy((host, int(port)))
    with Rig(tmp_path / "rig", store.settings) as rig:
        sender = rig.worker(replace(rig.settings, minio_host=f"{host}:{proxy.port}"), CRASH_AT="put_stem:before:STOP")
        [song] = rig.accept()
        eventually(lambda: is_stopped(sender))
        proxy.silent = True
        go_on(sender)
        eventually(lambda: proxy.held == len(STEMS) + 1)  # with the mixture, on their way
        stop(sender)
        rig.ready(rig.worker())
        eventually(lambda: rig.over([song]), 2 * BOUND + SLACK)
        drums = f"{song}-drums.wav"
        rig.store.minio.remove_object(rig.settings.bucket_out, drums)  # to see the other one come
        proxy.silent = False
        go_on(sender)
        eventually(lambda: drums in rig.objects(song), SLACK)
        eventually(lambda: "lease lost" in sender.log.read_text(), SLACK)
        rig.check([song])
        assert (rig.status(song).attempt, rig.separations(song)) == (2, 2)
    proxy.close()


def test_31_while_the_store_refuses_one_worker_the_songs_wait_for_another_and_rest_is_not_ready(rig: Rig) -> None:
    wrong = replace(rig.settings, minio_secret_key="wrong")
    refused = rig.worker(wrong)
    rig.rest(wrong)
    songs = rig.accept(count=3)
    answer = requests.get(f"{rig.url}/readyz", timeout=30)
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert answer.headers["Retry-After"]
    eventually(lambda: "put off" in refused.log.read_text())
    rig.ready(rig.worker())
    rig.finish(songs, 2 * RECONCILE + BOUND + SLACK)
    assert {rig.status(song).attempt for song in songs} == {1}
    assert refused.log.read_text().count("job claimed") == 1
    assert refused.alive


def test_31_a_process_that_the_store_refuses_leaves_the_reconciling_to_others(rig: Rig) -> None:
    refused = Store.from_settings(replace(rig.settings, minio_secret_key="wrong"))
    keepers = [Upkeep(rig.queue, store, rig.settings) for store in (refused, rig.store)]
    rig.store.put_message("a" * 56, Job("a" * 56, Options("quick")).message())

    def back_in_line() -> bool:
        for keeper in keepers:
            with suppress(Unavailable):
                keeper._reconcile()
        return rig.queue.overview()[0] == ["a" * 56]

    eventually(back_in_line, 6 * RECONCILE)
