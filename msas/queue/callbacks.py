"""The queue of callbacks to send: each is held by one process at a time, until its delivery is recorded."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from msas.job import Status
from msas.queue.callback_record import DeliveryRecord, webhook_id
from msas.queue.queue import Queue


@dataclass(frozen=True)
class PendingCallback:
    """A callback of a job that has ended. This process may send it until its `hold` ends.

    `callback` has the unchecked `url` and `data` of the caller. `host` is the URL's, '' where it has none.
    """

    songhash: str
    callback: dict[str, Any]
    status: Status
    webhook_id: str
    delivery: DeliveryRecord
    identity: str
    hold: str
    host: str


class CallbackQueue:
    """Methods raise QueueUnavailable where Redis does not answer."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def take_due(self, most: int, hold_seconds: float, full: Collection[str] = ()) -> list[PendingCallback]:
        """Hold and return at most `most` callbacks that are due; hosts take turns, those in `full` get none.

        A callback whose delivery is not recorded within `hold_seconds` is due again.
        """
        more, found = 1, list[list[bytes | None]]()
        while more and not found:
            more, found = self._queue.scripts.run("take_callbacks", most, int(hold_seconds * 1000), *full)
        return [_pending(*entry) for entry in found]

    def record_delivery(self, pending: PendingCallback, delivery: DeliveryRecord) -> bool:
        """Record the delivery; the callback is due again at `next_at`, or never, where that is None.

        Returns False, and changes nothing, where this process no longer holds it.
        """
        due = "" if delivery.next_at is None else delivery.next_at
        arguments = (pending.songhash, pending.identity, pending.hold, delivery.to_json(), due)
        return bool(self._queue.scripts.run("note_callback", *arguments))

    def now(self) -> int:
        """Return the time by Redis' clock, in ms."""
        return self._queue.now()


def _pending(*entry: bytes | None) -> PendingCallback:
    songhash, identity, hold, status, since = (text.decode() if text else "" for text in entry[:5])
    return PendingCallback(
        songhash=songhash,
        callback=json.loads(entry[5] or b"{}"),
        status=Status(status),
        webhook_id=webhook_id(songhash, identity, since),
        delivery=DeliveryRecord.from_json(entry[6]),
        identity=identity,
        hold=hold,
        host=(entry[7] or b"").decode(),
    )
