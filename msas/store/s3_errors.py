"""Translates errors of the S3 server: missing object, existing object, lasting refusal, or outage."""

from __future__ import annotations

from minio.error import S3Error

from msas.errors import StoreUnavailable

_CREDENTIALS = "MINIO_ACCESS_KEY and MINIO_SECRET_KEY, and their permissions"
_QUOTA = "the quota of the bucket"
# Errors that repeat until the operator changes something, with what to change.
_LASTING = {
    "AccessDenied": _CREDENTIALS,
    "AccountProblem": _CREDENTIALS,
    "AllAccessDisabled": _CREDENTIALS,
    "ExpiredToken": _CREDENTIALS,
    "InvalidAccessKeyId": _CREDENTIALS,
    "InvalidToken": _CREDENTIALS,
    "SignatureDoesNotMatch": _CREDENTIALS,
    "EntityTooLarge": "the store's limit on the size of objects",
    "QuotaExceeded": _QUOTA,
    "XMinioAdminBucketQuotaExceeded": _QUOTA,
    "InvalidBucketName": "BUCKET_IN and BUCKET_OUT",
    "TooManyBuckets": "the store's limit on the number of buckets",
}
_FULL = ("XMinioStorageFull", "InsufficientStorage")


class ObjectMissing(LookupError):
    """The store has no object under that key."""


class ObjectTaken(Exception):
    """An object of another process exists under that key; nothing was stored."""


def store_problem(error: S3Error) -> Exception:
    """Return the ObjectMissing, ObjectTaken or StoreUnavailable that the server's error means."""
    code = error.code or "an error"
    if code in ("NoSuchKey", "NoSuchObject"):
        return ObjectMissing(error.object_name)
    if code in ("PreconditionFailed", "ConditionalRequestConflict"):
        return ObjectTaken(error.object_name)
    if code in _LASTING:
        advice = f"the operator of this service has to check {_LASTING[code]}"
        return StoreUnavailable(f"The store refuses the request ({code}); {advice}.", is_lasting=True)
    if code in _FULL:
        return StoreUnavailable(f"The store is full ({code}); try again later.")
    return StoreUnavailable(f"The store answers {code}; try again in a few seconds.")
