"""Publishes an attempt's stems all at once, by storing its report, or removes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from msas.errors import StoreRefused, StoreUnavailable
from msas.report import Report
from msas.store import Store
from msas.store.stems import Attempt


@contextmanager
def attempt_at(store: Store, songhash: str) -> Iterator[Attempt]:
    """Begin an attempt at the song. Where the block fails, what the attempt stored is removed, as far as possible.

    Raises StoreRefused where the store refuses what the block stores for a reason that lasts, so that separating the
    song again would not help.
    """
    attempt = store.begin_attempt(songhash)
    try:
        yield attempt
    except Exception as error:
        if isinstance(error, StoreUnavailable) and not error.is_lasting:
            raise  # the store would not delete anything either
        with suppress(StoreUnavailable):
            store.remove_attempt(attempt)
        if isinstance(error, StoreUnavailable):
            raise StoreRefused(error.detail) from error
        raise


def publish(store: Store, retrying: Store, attempt: Attempt, report: Report, peaks: dict[str, Any]) -> Report:
    """Store the peaks, then the report, by which the attempt's stems are published; return the published report.

    `retrying` is the same store, but repeats its calls while the store is away. Where another attempt was faster,
    returns that one's report, and removes the objects of this one. Raises StoreUnavailable where neither is published.
    """
    report = replace(report, tag=attempt.tag)
    retrying.put_peaks(peaks, attempt.tag)
    if retrying.put_report(report, attempt.seen):
        with suppress(StoreUnavailable):
            store.end_attempt(attempt)
        return report
    retrying.remove_attempt(attempt)
    published, _ = retrying.published(attempt.songhash) or (None, None)
    if published is None or published.removed:
        raise StoreUnavailable("The report was changed while the song was separated; it will be separated again.")
    return published
