"""Faults of attempts at one song that store at the same moment, on the real store. FAULTS.md numbers the faults."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import TypeVar

import pytest

from msas.errors import StoreUnavailable
from msas.store import Store
from tests.support.faultproxy import FaultProxy
from tests.support.in_process import make_report
from tests.support.refusing_store import RefusingStore
from tests.support.rig import Rig

SONG = "7" * 56
ATTEMPTS = 6
_T = TypeVar("_T")


def at_once(rig: Rig, action: Callable[[Store, int], _T]) -> list[_T]:
    """Let as many processes' clients of the store do this at the same moment."""
    barrier = Barrier(ATTEMPTS)
    stores = [Store.from_settings(rig.settings) for _ in range(ATTEMPTS)]

    def do(number: int) -> _T:
        stores[number].supports_conditions()
        barrier.wait()
        return action(stores[number], number)

    with ThreadPoolExecutor(ATTEMPTS) as threads:
        return list(threads.map(do, range(ATTEMPTS)))


def test_of_attempts_that_begin_at_once_one_has_the_plain_names(rig: Rig) -> None:
    """Fault 73."""
    attempts = at_once(rig, lambda store, _: store.begin_attempt(SONG))

    tags = [attempt.tag for attempt in attempts]
    assert tags.count("") == 1
    assert len(set(tags)) == ATTEMPTS


def test_of_reports_that_are_stored_at_once_one_is_published(rig: Rig) -> None:
    """Fault 73."""
    report = make_report(SONG)

    stored = at_once(rig, lambda store, number: store.put_report(replace(report, tag=f"{number:016x}")))

    assert stored.count(True) == 1
    published = rig.store.report(SONG)
    assert published
    assert published.tag == f"{stored.index(True):016x}"


def test_an_attempt_that_was_slower_leaves_nothing(rig: Rig) -> None:
    """Fault 73."""
    first, second = (rig.store.begin_attempt(SONG) for _ in range(2))
    for attempt in (first, second):
        rig.store.put_stem(SONG, "drums", "wav", io.BytesIO(b"drums"), attempt.tag)
        rig.store.put_peaks({"hash": SONG}, attempt.tag)
    assert rig.store.put_report(replace(make_report(SONG), tag=second.tag), second.seen)
    assert not rig.store.put_report(make_report(SONG), first.seen)

    rig.store.remove_attempt(first)
    rig.store.remove_attempt(second)

    kept = [f"{SONG}-{second.tag}-drums.wav", f"{SONG}-{second.tag}-peaks.json", f"{SONG}-report.json"]
    assert sorted(rig.objects(SONG)) == sorted(kept)


@pytest.mark.parametrize("size", [100, 12_000_000], ids=["in one piece", "in parts"])
def test_a_stem_that_is_stored_already_is_not_overwritten(rig: Rig, size: int) -> None:
    """Fault 73."""
    rig.store.put_stem(SONG, "drums", "wav", io.BytesIO(b"a" * size))

    with pytest.raises(StoreUnavailable, match="Another attempt"):
        rig.store.put_stem(SONG, "drums", "wav", io.BytesIO(b"b" * size))

    assert set(b"".join(rig.store.open_stem(SONG, "drums", "wav"))) == set(b"a")
    assert not list(rig.store.minio._list_multipart_uploads(rig.settings.bucket_out).uploads)


def test_a_stem_whose_completion_loses_its_reply_is_stored_once(rig: Rig) -> None:
    """Fault 73. A worker repeats the call, and the store refuses it: the object is there."""
    host, port = rig.settings.minio_host.split(":")
    proxy = FaultProxy((host, int(port)))
    store = Store.from_settings(replace(rig.settings, minio_host=f"{host}:{proxy.port}"), retries=0)
    store.supports_conditions()
    proxy.lose_reply_to = b"<CompleteMultipartUpload"

    store.retrying(lambda: None).put_stem(SONG, "drums", "wav", io.BytesIO(bytes(12_000_000)))

    assert proxy.lose_reply_to is None, "it was lost"
    proxy.close()
    assert sum(map(len, rig.store.open_stem(SONG, "drums", "wav"))) == 12_000_000


def test_whether_a_store_supports_conditions_is_asked_once(rig: Rig) -> None:
    """Fault 73."""
    asked = list[str]()

    def listen(_: str, path: str) -> None:
        if "probe" in path:
            asked.append(path)

    with RefusingStore(rig.settings.minio_host, listen) as proxy:
        store = Store.from_settings(replace(rig.settings, minio_host=proxy.address))

        for _ in range(3):
            store.retrying(lambda: None).begin_attempt(SONG)

    assert len(asked) == 4  # an object is stored, refused twice, and removed


def test_a_stem_whose_upload_breaks_off_leaves_nothing(rig: Rig) -> None:
    """Fault 73."""

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 6_000_000:
                raise OSError("broken")
            return super().read(size)

    with pytest.raises(OSError, match="broken"):
        rig.store.put_stem(SONG, "drums", "wav", Broken(bytes(20_000_000)))

    assert rig.objects(SONG) == []
    assert not list(rig.store.minio._list_multipart_uploads(rig.settings.bucket_out).uploads)
