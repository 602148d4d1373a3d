"""Errors of the store: which of them pass, and which last until somebody changes something."""

from __future__ import annotations

from typing import Any, cast

import pytest
from minio.error import S3Error

from msas.errors import StoreUnavailable
from msas.store.s3_errors import ObjectMissing, ObjectTaken, store_problem


def problem_of(code: str) -> Exception:
    return store_problem(S3Error(cast(Any, None), code, "no", "/output/a", "1", "2", "output", "a"))


@pytest.mark.parametrize(
    "code",
    [
        *("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "EntityTooLarge", "InvalidBucketName"),
        *("XMinioAdminBucketQuotaExceeded", "QuotaExceeded"),
    ],
)
def test_a_refusal_that_the_same_call_meets_again_lasts(code: str) -> None:
    problem = problem_of(code)

    assert isinstance(problem, StoreUnavailable)
    assert problem.is_lasting
    assert code in problem.detail
    assert problem.detail.count(".") == 1, "one sentence"


@pytest.mark.parametrize(
    "code", ["SlowDown", "InternalError", "ServiceUnavailable", "XMinioStorageFull", "NoSuchBucket", "RequestTimeout"]
)
def test_an_outage_a_full_disk_and_what_we_do_not_know_pass(code: str) -> None:
    problem = problem_of(code)

    assert isinstance(problem, StoreUnavailable)
    assert not problem.is_lasting


@pytest.mark.parametrize(("code", "kind"), [("NoSuchKey", ObjectMissing), ("PreconditionFailed", ObjectTaken)])
def test_an_absent_object_and_one_that_another_process_stored_are_no_outage(code: str, kind: type[Exception]) -> None:
    assert type(problem_of(code)) is kind
