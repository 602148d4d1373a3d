"""The callbacks that wait to be sent: taken by one process at a time, each for a while, until its fate is noted."""

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
    """A callback of a job that has ended, in the hands of who took it, until its `hold` is over.

    `callback` has the `url` and `data` that the caller gave; nobody checked them since. `host` is the URL's, '' where
    it has none.
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
    """Every method raises QueueUnavailable where Redis does not answer."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def take_due(self, most: int, hold_seconds: float, full: Collection[str] = ()) -> list[PendingCallback]:
        """Return up to `most` callbacks that are due to other hosts than the `full` ones, one host after the other.

        Whichever is not noted in time will be taken again.
        """
        more, found = 1, list[list[bytes | None]]()
        while more and not found:
            more, found = self._queue.scripts.run("take_callbacks", most, int(hold_seconds * 1000), *full)
        return [_pending(*entry) for entry in found]

    def record_delivery(self, pending: PendingCallback, delivery: DeliveryRecord) -> bool:
        """Note how its delivery goes: it is due again at `next_at`, or never, where that is None.

        Returns False, and changes nothing, where it is no longer in our hands.
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
