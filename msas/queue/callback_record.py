"""What becomes of a callback: which one it is, and how its delivery goes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any


class DeliveryState(StrEnum):
    WAITING = "waiting"  # for the job's end, or for the next try
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"  # after the last try, or because the receiver said 410: gone
    REFUSED = "refused"  # its URL leads to where we send nothing


@dataclass(frozen=True)
class DeliveryRecord:
    """How the delivery of one callback goes. Moments are in ms of Redis' clock.

    `attempts` counts what was tried, `http_status` is the last answer's, `error` a sentence about the last failure.
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
        """Read what `to_json` wrote; None means that nothing was tried yet."""
        if text is None:
            return cls()
        noted = json.loads(text)
        known = {field.name: noted[field.name] for field in fields(cls) if field.name in noted}
        return cls(**{**known, "state": DeliveryState(noted["state"])})


def callback_json(callback: Mapping[str, Any]) -> str:
    return json.dumps({"url": callback.get("url"), "data": callback.get("data")}, separators=(",", ":"))


def callback_id(callback: Mapping[str, Any]) -> str:
    """Return what tells one callback of a song from another; the same URL and data are the same callback."""
    return hashlib.sha256(callback_json(callback).encode()).hexdigest()[:16]


def callback_fields(callback: Mapping[str, Any] | None, owner: str) -> list[str]:
    """Return what is kept of a new job's callback, as field, value, field, value; `owner` is the caller's."""
    if callback is None:
        return []
    try:
        identity = callback_id(callback)
    except RecursionError:  # a stranger's message may nest deeper than we can write
        return []
    return ["callbacks", identity, f"callback:{identity}", callback_json(callback), f"owner:{identity}", owner]


def webhook_id(songhash: str, identity: str, since: str) -> str:
    """Return what receivers know the pending by: the same at every try, another once the song is separated anew.

    `since` is when the job became known, in ms.
    """
    return f"msg_{hashlib.sha256(f'{songhash} {identity} {since}'.encode()).hexdigest()[:32]}"


def describe_callbacks(songhash: str, job: Mapping[str, bytes]) -> dict[str, Any] | None:
    """Return how the deliveries go, out of a job's fields, as its callers are told; None without a callback.

    That is how the one goes that was asked for last; the other ones, if any, stand under `others`. No URL is in it:
    who else knows the songhash is not to learn of it.
    """
    since = (job.get("enqueued_at") or job.get("ended_at") or b"").decode()
    found = []
    for identity in job.get("callbacks", b"").decode().split():
        record = asdict(DeliveryRecord.from_json(job.get(f"delivery:{identity}")))
        moments = {name: _iso(record[name]) for name in ("next_at", "delivered_at")}
        found.append({"webhook_id": webhook_id(songhash, identity, since), **record, **moments})
    if not found:
        return None
    return {**found[0], "others": found[1:]} if found[1:] else found[0]


def _iso(moment_ms: int | None) -> str | None:
    return datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat(timespec="milliseconds") if moment_ms else None
