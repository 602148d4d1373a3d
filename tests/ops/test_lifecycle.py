"""Lifecycle rules: ours is on buckets that we made, and changes no rule of anybody else."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace

import pytest
from minio.commonconfig import ENABLED, Filter
from minio.lifecycleconfig import Expiration, LifecycleConfig, Rule

from local import Service
from msas.store import Store

THEIRS = Rule(ENABLED, Filter(prefix="logs/"), "theirs", None, Expiration(days=3))


@pytest.fixture
def store(service: Service) -> Iterator[Store]:
    """A store whose buckets nobody has made yet; they are removed afterwards."""
    nonce = secrets.token_hex(4)
    store = Store.from_settings(replace(service.settings, bucket_in=f"in-{nonce}", bucket_out=f"out-{nonce}"))
    yield store
    for bucket in (store.bucket_in, store.bucket_out):
        store.minio.remove_bucket(bucket)


def rules(store: Store, bucket: str) -> dict[str | None, int | None]:
    """Return the bucket's rules, by their names, with the days after which each removes objects."""
    config = store.minio.get_bucket_lifecycle(bucket)
    return {rule.rule_id: rule.expiration.days for rule in config.rules if rule.expiration} if config else {}


def test_buckets_that_we_made_get_our_rule(store: Store) -> None:
    store.make_buckets()

    store.set_lifecycle_rules(15)

    assert [rules(store, bucket) for bucket in (store.bucket_in, store.bucket_out)] == [{"msas": 15}] * 2
    assert store.has_lifecycle_rules()


def test_another_number_of_days_replaces_our_rule_and_keeps_the_others(store: Store) -> None:
    store.make_buckets()
    store.set_lifecycle_rules(15)
    config = store.minio.get_bucket_lifecycle(store.bucket_out)
    assert config
    store.minio.set_bucket_lifecycle(store.bucket_out, LifecycleConfig([*config.rules, THEIRS]))

    store.set_lifecycle_rules(61)

    assert rules(store, store.bucket_out) == {"msas": 61, "theirs": 3}


def test_buckets_that_somebody_else_made_keep_their_rules_and_get_none(store: Store) -> None:
    for bucket in (store.bucket_in, store.bucket_out):
        store.minio.make_bucket(bucket)
    store.minio.set_bucket_lifecycle(store.bucket_out, LifecycleConfig([THEIRS]))

    store.set_lifecycle_rules(15)

    assert rules(store, store.bucket_in) == {}
    assert rules(store, store.bucket_out) == {"theirs": 3}
    assert not store.has_lifecycle_rules()
