"""Faults of a store that answers and refuses: access, quota, size, a full disk. FAULTS.md numbers the faults."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from msas.job import Status
from tests.support.processes import eventually
from tests.support.refusing_store import RefusingStore
from tests.support.rig import Rig

LASTING = [(403, "AccessDenied"), (400, "EntityTooLarge"), (400, "XMinioAdminBucketQuotaExceeded")]


@pytest.fixture
def refusing(rig: Rig) -> Iterator[RefusingStore]:
    """A proxy before the store; it refuses nothing yet."""
    with RefusingStore(rig.settings.minio_host, lambda *_: None) as proxy:
        yield proxy


@pytest.mark.parametrize("refusal", LASTING, ids=[code for _, code in LASTING])
def test_a_song_whose_stems_the_store_refuses_for_good_fails_after_one_separation(
    rig: Rig, refusing: RefusingStore, refusal: tuple[int, str]
) -> None:
    """Fault 71."""
    refusing.refuse = lambda method, path: refusal if method == "PUT" and "-drums.wav" in path else None
    worker = rig.worker(replace(rig.settings, minio_host=refusing.address))
    [song] = rig.accept()

    rig.reclaim_until(lambda: rig.over([song]))

    error = rig.job(song).error or {}
    assert rig.job(song).status is Status.FAILED
    assert error["code"] == "store_refused"
    assert refusal[1] in error["message"]
    assert rig.separations(song) == 1
    assert [key for key in rig.objects(song) if key.startswith(f"{song}-")] == []
    refusing.refuse = lambda *_: None
    later = rig.accept()
    rig.finish(later)
    assert worker.alive


def test_a_worker_takes_no_song_while_the_store_refuses_a_test_object(rig: Rig, refusing: RefusingStore) -> None:
    """Fault 71. A quota that is used up lets a song be fetched, and would fail each song in line."""
    quota = (400, "XMinioAdminBucketQuotaExceeded")
    worker = rig.worker(replace(rig.settings, minio_host=refusing.address))
    [song] = rig.accept("sleep-1")
    eventually(lambda: rig.running(song, "separating"))
    refusing.refuse = lambda method, _: quota if method == "PUT" else None
    eventually(lambda: rig.over([song]))
    others = rig.accept(count=3)
    eventually(lambda: worker.log.read_text().count("store away") >= 2)
    meanwhile = [rig.separations(other) for other in others]

    refusing.refuse = lambda *_: None

    rig.finish(others)
    assert rig.job(song).status is Status.FAILED
    assert meanwhile == [0, 0, 0]


def test_a_full_disk_of_the_store_passes_and_costs_no_attempt(rig: Rig, refusing: RefusingStore) -> None:
    """Fault 72."""
    full = (507, "XMinioStorageFull")
    refusing.refuse = lambda method, path: full if method == "PUT" and "-drums.wav" in path else None
    worker = rig.worker(replace(rig.settings, minio_host=refusing.address))
    [song] = rig.accept()
    eventually(lambda: "put off" in worker.log.read_text())

    refusing.refuse = lambda *_: None
    rig.reclaim_until(lambda: rig.over([song]))

    rig.check([song])
    assert rig.job(song).attempt == 1


def test_a_song_that_the_store_refuses_to_give_is_put_off_and_not_separated(rig: Rig, refusing: RefusingStore) -> None:
    """Fault 72."""
    refusing.refuse = lambda method, _: (403, "AccessDenied") if method in ("GET", "HEAD") else None
    worker = rig.worker(replace(rig.settings, minio_host=refusing.address))
    [song] = rig.accept()
    eventually(lambda: "put off" in worker.log.read_text())
    meanwhile = rig.separations(song)

    refusing.refuse = lambda *_: None
    rig.reclaim_until(lambda: rig.over([song]))

    rig.check([song])
    assert meanwhile == 0
    assert (rig.job(song).attempt, rig.separations(song)) == (1, 1)
