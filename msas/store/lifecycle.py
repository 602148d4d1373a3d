"""Our lifecycle rule, by which the store deletes old objects. Only buckets that this service created have it.

Other buckets may hold other programs' objects. Other rules of a bucket are kept.
"""

from __future__ import annotations

from minio import Minio
from minio.commonconfig import ENABLED, Filter
from minio.lifecycleconfig import AbortIncompleteMultipartUpload, Expiration, LifecycleConfig, Rule

_RULE = "msas"
_INITIAL_DAYS = 3650


def mark_bucket(minio: Minio, bucket: str) -> None:
    """Mark a new bucket as ours with a rule that deletes nothing for ten years."""
    _set_rule(minio, bucket, [], _INITIAL_DAYS)


def expire_objects(minio: Minio, bucket: str, days: int) -> bool:
    """Make a bucket of ours delete objects after `days`, and the parts of interrupted uploads after one day.

    Returns False, and changes nothing, where the bucket is not ours.
    """
    rules = _rules(minio, bucket)
    ours = [rule for rule in rules if rule.rule_id == _RULE]
    if ours and not (ours[0].expiration and ours[0].expiration.days == days):
        _set_rule(minio, bucket, [rule for rule in rules if rule.rule_id != _RULE], days)
    return bool(ours)


def has_rule(minio: Minio, bucket: str) -> bool:
    """Return whether the bucket has our rule."""
    return any(rule.rule_id == _RULE for rule in _rules(minio, bucket))


def _rules(minio: Minio, bucket: str) -> list[Rule]:
    config = minio.get_bucket_lifecycle(bucket)
    return list(config.rules) if config else []


def _set_rule(minio: Minio, bucket: str, others: list[Rule], days: int) -> None:
    unfinished = AbortIncompleteMultipartUpload(days_after_initiation=1)
    rule = Rule(ENABLED, Filter(prefix=""), _RULE, unfinished, Expiration(days=days))
    minio.set_bucket_lifecycle(bucket, LifecycleConfig([*others, rule]))
