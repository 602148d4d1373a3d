"""Checks the store: its answer, credentials, buckets, reading and writing, lifecycle rules and clock."""

from __future__ import annotations

import time
from collections.abc import Iterator

from msas.doctor.check_clock import check_clock
from msas.doctor.finding import Finding, error, ok, warning
from msas.errors import StoreUnavailable
from msas.settings import Settings
from msas.store.buckets import Buckets
from msas.store.s3_errors import ObjectMissing

_REFUSALS = ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch")


def check_store(store: Buckets, settings: Settings) -> Iterator[Finding]:
    """Yield the findings about the store; skip the checks that need something that is missing."""
    names = f"{settings.bucket_in} and {settings.bucket_out}"
    try:
        missing = store.missing_buckets()
    except StoreUnavailable as problem:
        yield _unreachable(problem, settings)
        return
    yield ok("store", f"The store at {settings.minio_host} answers and accepts our credentials.")
    if missing:
        yield warning("buckets", f"The first song will create the missing buckets: {', '.join(missing)}.")
        return
    yield ok("buckets", f"The buckets {names} exist.")
    try:
        ahead = store.round_trip().timestamp() - time.time()
    except (StoreUnavailable, ObjectMissing) as problem:
        yield error(
            "objects",
            f"Writing, reading or removing an object failed ({_reason(problem)}): check whether the store's disk is "
            "full, and whether MINIO_ACCESS_KEY may write to both buckets.",
        )
        return
    yield ok("objects", "Objects can be written, read and removed.")
    yield _check_lifecycle(store, names)
    yield check_clock("the store", ahead)


def _unreachable(problem: StoreUnavailable, settings: Settings) -> Finding:
    where, reason = settings.minio_host, _reason(problem)
    if reason in _REFUSALS:
        return error(
            "store",
            f"The store at {where} refuses our credentials ({reason}): correct MINIO_ACCESS_KEY and MINIO_SECRET_KEY, "
            "or their permissions.",
        )
    return error(
        "store", f"The store at {where} does not answer ({reason}): start it, or correct MINIO_HOST and MINIO_SECURE."
    )


def _check_lifecycle(store: Buckets, names: str) -> Finding:
    try:
        if store.has_lifecycle_rules():
            return ok("lifecycle", f"Lifecycle rules remove objects that stay in {names} far too long.")
        why = "there is none"
    except StoreUnavailable as problem:
        why = _reason(problem)
    return warning(
        "lifecycle",
        f"{names} do not both have our lifecycle rule ({why}): only buckets that this service created have it; "
        "without it, old objects are removed only while REST runs.",
    )


def _reason(problem: Exception) -> str:
    """Return the store's error code, else the class of the error."""
    return getattr(problem.__cause__, "code", None) or type(problem.__cause__ or problem).__name__
