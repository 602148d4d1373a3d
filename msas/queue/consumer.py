"""The queue as a worker sees it: take a job under a lease, renew it, settle it."""

from __future__ import annotations

import json
import os
import platform
import secrets
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, TypeAlias, cast

from redis import Redis
from redis.exceptions import OutOfMemoryError

from msas.errors import Problem
from msas.job import BrokenMessage, Job, Stage
from msas.queue.connection import connect, connect_blocking, translate_errors
from msas.queue.job_view import job_fields
from msas.queue.queue import Queue
from msas.settings import Settings

_PARKED_SECONDS = 1.0

# 'ok'; or the job is no longer this worker's: others have it, or it was cancelled and waits to be let go.
LeaseStatus: TypeAlias = Literal["ok", "lost", "cancelled"]


class Lease:
    """A running job in this worker's hands, until it is settled or the lease runs out.

    Every change presents the lease's token: once another worker has the job, nothing here changes it.
    Each way to settle it answers whether the job was still held; if not, nothing was changed.
    """

    def __init__(self, consumer: Consumer, job: Job, message: bytes, token: str, attempt: int) -> None:
        self.job, self.attempt, self.token = job, attempt, token
        self.stage, self.progress = Stage.FETCHING, 0.0
        self.status: LeaseStatus = "ok"
        self._consumer, self._message = consumer, message

    @property
    def log_fields(self) -> dict[str, Any]:
        """What log lines say of the job in hand."""
        facts: dict[str, Any] = {"songhash": self.job.songhash, "attempt": self.attempt}
        return facts | ({"request_id": self.job.request_id} if self.job.request_id else {})

    def succeed(self) -> LeaseStatus:
        """The stems and their report are in the store: publish them."""
        return self._settle("succeeded")

    def fail(self, problem: Problem) -> LeaseStatus:
        """Give the job up, with its reason: it would never succeed."""
        return self._settle("failed", "error", _error(problem))

    def retry(self, problem: Problem) -> LeaseStatus:
        """Try the job again later, after each attempt twice as late; after three, it is dead."""
        return self._settle("retry", "error", _error(problem))

    def release(self) -> LeaseStatus:
        """Hand the job back to the head of the line; the attempt does not count."""
        return self._settle("released")

    def postpone(self, problem: Problem) -> LeaseStatus:
        """Hand the job back for later: what it needs is away. The attempt does not count, but fifty waits do."""
        return self._settle("waiting", "error", _error(problem))

    def acknowledge_cancel(self) -> LeaseStatus:
        """The job was cancelled, and what this worker stored of it is removed."""
        return self._settle("cancelled")

    def renew(self) -> LeaseStatus:
        """Renew the lease, carry the stage and progress, and say whether the job is still held."""
        return self._consumer.renew(self)

    def _settle(self, outcome: str, *fields: str) -> LeaseStatus:
        worker, run = self._consumer.worker, self._consumer.queue.scripts.run
        answer = run("settle", self.job.songhash, self.token, worker, self._message, outcome, *fields)
        return cast(LeaseStatus, answer.decode())


class Consumer:
    """One worker's end of the queue. Its name has a nonce, for pod names and pid 1 repeat."""

    def __init__(self, redis: Redis, blocking: Redis, settings: Settings) -> None:
        self.queue = Queue(redis, settings)
        self.worker = f"{platform.node()}-{os.getpid()}-{secrets.token_hex(4)}"
        self.processing_key = f"{self.queue.prefix}run:{self.worker}"
        self._blocking, self._block_seconds = blocking, settings.block_seconds
        self._models = ""  # a JSON list of names; empty: this worker gets any job

    @classmethod
    def from_settings(cls, settings: Settings) -> Consumer:
        return cls(connect(settings, retries=3, seconds=5), connect_blocking(settings), settings)

    def advertise_models(self, content: Mapping[str, Any]) -> None:
        """Say which models this worker has: it takes only jobs for these. It counts while the worker holds a lease."""
        self._models = json.dumps([model["name"] for model in content["models"]])
        self.queue.scripts.run("advertise_models", self.worker, json.dumps({**content, "per_worker": True}))

    def claim_next(self, listening: AbstractContextManager[None] | None = None) -> Lease | None:
        """Wait up to BLOCK_SECONDS, inside `listening`, for a job and claim it; None where there was none.

        A message that is no job goes to the dead list; a job for a model that this worker lacks is parked. Raises
        QueueUnavailable where Redis is away.
        """
        message = self._next_message(listening or nullcontext())
        if message is None:
            return None
        run, token = self.queue.scripts.run, secrets.token_hex(8)
        try:
            job = Job.from_message(message)
        except BrokenMessage as broken:
            start = message[:10_000].decode(errors="replace")
            entry = {"reason": str(broken), "message": start, "bytes": len(message), "at": self.queue.now()}
            run("dead_letter", self.worker, message, json.dumps(entry))
            return None
        attempt = run("claim", self.worker, message, token, job.songhash, self._models, *job_fields(job))
        return Lease(self, job, message, token, attempt) if attempt else None

    def renew(self, lease: Lease | None) -> LeaseStatus:
        """Renew this worker's lease; carry the news of the job in hand, and note whether it is still held."""
        news = (lease.job.songhash, lease.token, lease.stage, lease.progress) if lease else ("",)
        held = cast(LeaseStatus, self.queue.scripts.run("renew", self.worker, *news).decode())
        if lease:
            lease.status = held
        return held

    def deregister(self) -> None:
        """Say goodbye: this worker takes nothing more. What it may still hold is taken back at once."""
        self.queue.scripts.run("reclaim", self.worker)

    def _next_message(self, listening: AbstractContextManager[None]) -> bytes | None:
        """Return what this worker holds already (a reply may have been lost), else the next message; wait for it."""
        found: bytes | int | None = self.queue.scripts.run("take_next", self.worker, self._models)
        if isinstance(found, bytes):
            return found
        # Parked jobs do not come to the list: where there were any of late, look for them often.
        seconds = cast(int, self._block_seconds if found is None else min(self._block_seconds, _PARKED_SECONDS))
        with translate_errors(), listening:
            line = self.queue.name
            try:
                return cast(bytes | None, self._blocking.blmove(line, self.processing_key, seconds, "RIGHT", "LEFT"))
            except OutOfMemoryError:  # a full Redis refuses to block, though not `take`
                time.sleep(seconds)
                return None


def _error(problem: Problem) -> str:
    return json.dumps({"code": problem.code, "message": problem.detail})
