"""The store dies, forgets its buckets, or lets nobody in. Numbers: FAULTS.md."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import eventually
from tests.own_store import OwnStore
from tests.rig import Rig, go_on, is_stopped, stopped


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnStore]:
    with OwnStore(tmp_path_factory.mktemp("own") / "store") as running:
        yield running


@pytest.fixture
def rig(store: OwnStore, tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path / "rig", store.settings) as running:
        yield running


def kill(store: OwnStore) -> None:
    store.child.process.kill()
    store.child.process.wait()


def start(store: OwnStore) -> None:
    store.child.start()
    eventually(store.takes_objects, 60)


def test_27_while_the_store_is_away_songs_wait_and_no_attempt_is_used_up(rig: Rig, store: OwnStore) -> None:
    worker = rig.worker()
    rig.ready(worker)
    songs = rig.accept("sleep-0.2", count=1)
    rig.finish(songs)
    worker.process.send_signal(signal.SIGSTOP)
    songs = rig.accept("sleep-0.2", count=3)
    kill(store)
    worker.process.send_signal(signal.SIGCONT)
    eventually(lambda: worker.log.read_text().count("store away") >= 3)
    begun = [song for song in songs if '"job claimed", "songhash": "' + song in worker.log.read_text()]
    assert len(begun) <= 1, "it takes nothing more while the store is away"
    start(store)
    rig.finish(songs)
    assert [rig.status(song).attempt for song in songs] == [1, 1, 1]
    assert worker.alive


def test_27_a_store_that_only_pauses_is_waited_for(rig: Rig, store: OwnStore) -> None:
    rig.worker()
    [song] = rig.accept("sleep-1")
    eventually(lambda: rig.running(song, "separating"))
    with stopped(store.child):
        eventually(lambda: rig.status(song).progress > 0.3)
    rig.finish([song])
    assert (rig.status(song).attempt, rig.separations(song)) == (1, 1)


def test_28_a_song_whose_stems_could_not_be_stored_is_done_once_the_store_is_back(rig: Rig, store: OwnStore) -> None:
    """Stems are stored while they are made, so the song is separated again; no attempt is used up."""
    worker = rig.worker()
    [song] = rig.accept("sleep-1")
    eventually(lambda: rig.running(song, "separating"))
    kill(store)
    eventually(lambda: "store away" in worker.log.read_text())
    assert rig.status(song).attempt == 0
    start(store)
    rig.finish([song])
    assert (rig.status(song).attempt, rig.separations(song)) == (1, 2)


@pytest.mark.parametrize(("point", "separations"), [("put_report:before", 2), ("put_report:after", 1)])
def test_29_a_store_that_dies_around_the_report_publishes_the_song_whole(
    rig: Rig, store: OwnStore, point: str, separations: int
) -> None:
    worker = rig.worker(CRASH_AT=f"{point}:STOP")
    [song] = rig.accept()
    eventually(lambda: is_stopped(worker))
    kill(store)
    go_on(worker)
    eventually(lambda: "store away" in worker.log.read_text() or "message kept" in worker.log.read_text())
    start(store)
    rig.finish([song], 60)
    # Where the lease ran out meanwhile, that cost an attempt.
    assert rig.status(song).attempt <= 2
    assert rig.separations(song) == separations


def test_31_buckets_that_somebody_removed_are_made_again(rig: Rig) -> None:
    rig.worker()
    rig.finish(rig.accept())
    for bucket in (rig.settings.bucket_in, rig.settings.bucket_out):
        for found in rig.store.minio.list_objects(bucket):
            rig.store.minio.remove_object(bucket, found.object_name or "")
        rig.store.minio.remove_bucket(bucket)
    eventually(lambda: rig.store.minio.bucket_exists(rig.settings.bucket_in), 20)
    rig.finish(rig.accept(count=2), 60)


def test_31_a_worker_that_the_store_refuses_leaves_the_songs_to_others(rig: Rig) -> None:
    refused = rig.worker(replace(rig.settings, minio_secret_key="wrong"))
    songs = rig.accept(count=3)
    eventually(lambda: "store away" in refused.log.read_text())
    rig.worker()
    rig.finish(songs)
    assert {rig.status(song).attempt for song in songs} == {1}
    assert refused.log.read_text().count("job claimed") == 1
