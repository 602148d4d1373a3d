"""Callbacks of jobs in the fields of Redis: their identity, and the record of their delivery."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any


class DeliveryState(StrEnum):
    WAITING = "waiting"  # for the job's end, or for the next attempt
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"  # after the last attempt, or after the receiver answered 410
    REFUSED = "refused"  # the address policy forbids its URL


@dataclass(frozen=True)
class DeliveryRecord:
    """The delivery of one callback. Times are in ms of Redis' clock.

    `http_status` is that of the last response; `error` is a sentence about the last failure.
    """

    state: DeliveryState = DeliveryState.WAITING
    attempts: int = 0
    http_status: int | None = None
    error: str | None = None
    next_at: int | None = None
    delivered_at: int | None = None

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: bytes | None) -> DeliveryRecord:
        """Read what `to_json` returned; None: there was no attempt yet."""
        if text is None:
            return cls()
        noted = json.loads(text)
        known = {field.name: noted[field.name] for field in fields(cls) if field.name in noted}
        return cls(**{**known, "state": DeliveryState(noted["state"])})


def callback_json(callback: Mapping[str, Any]) -> str:
    return json.dumps({"url": callback.get("url"), "data": callback.get("data")}, separators=(",", ":"))


def callback_id(callback: Mapping[str, Any]) -> str:
    """Return the identity of a callback within its song: a hash of its URL and data."""
    return hashlib.sha256(callback_json(callback).encode()).hexdigest()[:16]


def callback_fields(callback: Mapping[str, Any] | None, owner: str) -> list[str]:
    """Return the Redis fields of a new job's callback, as field, value, field, value; `owner` sent the job."""
    if callback is None:
        return []
    try:
        identity = callback_id(callback)
    except RecursionError:  # a foreign message may be nested too deeply for the JSON encoder
        return []
    return ["callbacks", identity, f"callback:{identity}", callback_json(callback), f"owner:{identity}", owner]


def webhook_id(songhash: str, identity: str, since: str) -> str:
    """Return the `Webhook-Id` of a callback: the same at each attempt, another after the song is separated again.

    `since` is the time in ms when the job became known.
    """
    return f"msg_{hashlib.sha256(f'{songhash} {identity} {since}'.encode()).hexdigest()[:32]}"


def describe_callbacks(songhash: str, job: Mapping[str, bytes]) -> dict[str, Any] | None:
    """Return the delivery records of a job as the API has them; None without a callback.

    The record of the newest callback has the others, if any, under `others`. URLs are left out, because anyone who
    knows the songhash can read this.
    """
    since = (job.get("enqueued_at") or job.get("ended_at") or b"").decode()
    found = []
    for identity in job.get("callbacks", b"").decode().split():
        record = asdict(DeliveryRecord.from_json(job.get(f"delivery:{identity}")))
        times = {name: _iso(record[name]) for name in ("next_at", "delivered_at")}
        found.append({"webhook_id": webhook_id(songhash, identity, since), **record, **times})
    if not found:
        return None
    return {**found[0], "others": found[1:]} if found[1:] else found[0]


def _iso(time_ms: int | None) -> str | None:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds") if time_ms else None
