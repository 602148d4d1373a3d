"""Stores without conditional writes: each attempt has a tag, and the report is compared before it is stored."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, cast

import pytest
from minio.error import S3Error

from msas.report import Report
from msas.store import Store
from tests.support.fake_s3 import MemoryMinio
from tests.support.in_process import STEMS, make_report, make_stem
from worker.pipeline.publishing import attempt_at, publish

SONG = "7" * 56


class IgnorantMinio(MemoryMinio):
    """One that stores an object whatever the condition says."""

    def _put_object(self, bucket: str, key: str, content: bytes, _: Mapping[str, str]) -> None:
        super()._put_object(bucket, key, content, {})


class UnableMinio(MemoryMinio):
    """One that answers NotImplemented to a condition."""

    def _put_object(self, bucket: str, key: str, content: bytes, headers: Mapping[str, str]) -> None:
        if "If-Match" in headers or "If-None-Match" in headers:
            raise S3Error(cast(Any, None), "NotImplemented", None, None, None, None, bucket, key)
        super()._put_object(bucket, key, content, headers)


@pytest.fixture(params=[IgnorantMinio, UnableMinio])
def store(request: pytest.FixtureRequest) -> Store:
    return Store(request.param().client())


def separate(store: Store) -> Report:
    with attempt_at(store, SONG) as attempt:
        for stem in STEMS:
            store.put_stem(SONG, stem, "wav", io.BytesIO(make_stem(SONG, stem)), attempt.tag)
        return publish(store, store, attempt, make_report(SONG), {"hash": SONG})


def test_a_separation_is_published_under_a_tag(store: Store) -> None:
    report = separate(store)

    found = store.published(SONG)
    assert found
    assert found[0] == report
    assert report.tag
    assert not store.supports_conditions()


def test_of_two_separations_the_slower_one_is_not_published_and_leaves_nothing(store: Store) -> None:
    with attempt_at(store, SONG) as slow:
        store.put_stem(SONG, "drums", "wav", io.BytesIO(b"slow"), slow.tag)
        fast = separate(store)
        report = publish(store, store, slow, make_report(SONG), {"hash": SONG})

    assert report == fast
    assert store.report(SONG) == fast
    assert not [key for key, _ in store.list_objects(store.bucket_out) if slow.tag in key]
