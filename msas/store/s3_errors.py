"""What the errors of an S3 server mean: nothing under that key, another writer, a refusal that lasts, or an outage."""

from __future__ import annotations

from minio.error import S3Error

from msas.errors import StoreUnavailable

_CREDENTIALS = "MINIO_ACCESS_KEY and MINIO_SECRET_KEY, and what they may do"
_QUOTA = "the quota of the bucket"
# Errors that the same call meets again until somebody changes something, with what that is.
_LASTING = {
    "AccessDenied": _CREDENTIALS,
    "AccountProblem": _CREDENTIALS,
    "AllAccessDisabled": _CREDENTIALS,
    "ExpiredToken": _CREDENTIALS,
    "InvalidAccessKeyId": _CREDENTIALS,
    "InvalidToken": _CREDENTIALS,
    "SignatureDoesNotMatch": _CREDENTIALS,
    "EntityTooLarge": "the size of the objects that the store takes",
    "QuotaExceeded": _QUOTA,
    "XMinioAdminBucketQuotaExceeded": _QUOTA,
    "InvalidBucketName": "BUCKET_IN and BUCKET_OUT",
    "TooManyBuckets": "how many buckets the store may have",
}
_FULL = ("XMinioStorageFull", "InsufficientStorage")


class ObjectMissing(LookupError):
    """The store has no object under that key."""


class ObjectTaken(Exception):
    """Another process stored an object under that key; what was to be stored there is not."""


def store_problem(error: S3Error) -> Exception:
    """Return what an error of the server is for us: ObjectMissing, ObjectTaken, or StoreUnavailable."""
    code = error.code or "an error"
    if code in ("NoSuchKey", "NoSuchObject"):
        return ObjectMissing(error.object_name)
    if code in ("PreconditionFailed", "ConditionalRequestConflict"):
        return ObjectTaken(error.object_name)
    if code in _LASTING:
        advice = f"the operator of this service has to look at {_LASTING[code]}"
        return StoreUnavailable(f"The store refuses it ({code}); {advice}.", is_lasting=True)
    if code in _FULL:
        return StoreUnavailable(f"The store is full ({code}); try again once there is room.")
    return StoreUnavailable(f"The store answers {code}; try again in a few seconds.")
