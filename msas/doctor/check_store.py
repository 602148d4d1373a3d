"""Findings of the store: whether it answers, knows us, takes and gives objects, and cleans up on its own."""

from __future__ import annotations

import time
from collections.abc import Iterator

from msas.doctor.check_clock import clock_finding
from msas.doctor.finding import Finding, look, well, wrong
from msas.errors import StoreUnavailable
from msas.settings import Settings
from msas.store.buckets import Buckets
from msas.store.s3_errors import ObjectMissing

_REFUSALS = ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch")


def store_findings(store: Buckets, settings: Settings) -> Iterator[Finding]:
    """Look at the store; what needs something that is missing is left out."""
    names = f"{settings.bucket_in} and {settings.bucket_out}"
    try:
        missing = store.missing()
    except StoreUnavailable as problem:
        yield _unreachable(problem, settings)
        return
    yield well("store", f"The store at {settings.minio_host} answers, and knows us.")
    if missing:
        yield look("buckets", f"There is no bucket {' and no '.join(missing)} yet: the first song makes it.")
        return
    yield well("buckets", f"The buckets {names} are there.")
    try:
        ahead = store.probe().timestamp() - time.time()
    except (StoreUnavailable, ObjectMissing) as problem:
        yield wrong(
            "objects",
            f"The store does not take, give and remove objects ({_reason(problem)}): look whether its disk is full, "
            "and whether MINIO_ACCESS_KEY may write to both buckets.",
        )
        return
    yield well("objects", "The store takes, gives and removes objects.")
    yield _lifecycle(store, names)
    yield clock_finding("The store", ahead)


def _unreachable(problem: StoreUnavailable, settings: Settings) -> Finding:
    where, reason = settings.minio_host, _reason(problem)
    if reason in _REFUSALS:
        return wrong(
            "store",
            f"The store at {where} refuses us ({reason}): correct MINIO_ACCESS_KEY and MINIO_SECRET_KEY, "
            "or what they may do.",
        )
    return wrong(
        "store", f"The store at {where} does not answer ({reason}): start it, or correct MINIO_HOST and MINIO_SECURE."
    )


def _lifecycle(store: Buckets, names: str) -> Finding:
    try:
        if store.expires():
            return well("lifecycle", f"The store itself removes what is left in {names} long after its time.")
        why = "none is set"
    except StoreUnavailable as problem:
        why = _reason(problem)
    return look(
        "lifecycle",
        f"No lifecycle rule of ours is on {names} ({why}): only buckets that this service made have it; without it, "
        "REST and the workers alone remove what is old.",
    )


def _reason(problem: Exception) -> str:
    """Return the store's own word for it, or the kind of error."""
    return getattr(problem.__cause__, "code", None) or type(problem.__cause__ or problem).__name__
