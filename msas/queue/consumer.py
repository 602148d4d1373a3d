"""The worker's side of the queue: claim a job under a lease, renew the lease, settle the job."""

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

_PARKED_POLL_SECONDS = 1.0

# ok: this worker holds the job. lost: another worker holds it. cancelled: stop, delete what was stored, acknowledge.
LeaseStatus: TypeAlias = Literal["ok", "lost", "cancelled"]


class Lease:
    """A running job that this worker holds until it settles the job or the lease ends.

    Each call presents the lease's token, so that it changes nothing once another worker holds the job. The methods
    that settle the job return whether this worker still held it.
    """

    def __init__(self, consumer: Consumer, job: Job, message: bytes, token: str, attempt: int) -> None:
        self.job, self.attempt, self.token = job, attempt, token
        self.stage, self.progress = Stage.FETCHING, 0.0
        self.status: LeaseStatus = "ok"
        self._consumer, self._message = consumer, message

    @property
    def log_fields(self) -> dict[str, Any]:
        """The fields that log lines about this job have."""
        facts: dict[str, Any] = {"songhash": self.job.songhash, "attempt": self.attempt}
        return facts | ({"request_id": self.job.request_id} if self.job.request_id else {})

    def succeed(self) -> LeaseStatus:
        """Mark the job as succeeded; its stems and report must be in the store."""
        return self._settle("succeeded")

    def fail(self, problem: Problem) -> LeaseStatus:
        """Mark the job as failed, without another attempt."""
        return self._settle("failed", "error", _error(problem))

    def retry(self, problem: Problem) -> LeaseStatus:
        """Requeue the job after a delay, which doubles each time; fail it after the most attempts (prelude.lua)."""
        return self._settle("retry", "error", _error(problem))

    def release(self) -> LeaseStatus:
        """Put the job back at the head of its line; the attempt does not count."""
        return self._settle("released")

    def postpone(self, problem: Problem) -> LeaseStatus:
        """Requeue the job after a delay, without counting the attempt; fail it after the most waits (prelude.lua)."""
        return self._settle("postponed", "error", _error(problem))

    def acknowledge_cancel(self) -> LeaseStatus:
        """Confirm that this worker stopped the cancelled job and deleted what it stored."""
        return self._settle("cancelled")

    def renew(self) -> LeaseStatus:
        """Renew the lease and store stage and progress; return whether this worker holds the job."""
        return self._consumer.renew(self)

    def _settle(self, outcome: str, *fields: str) -> LeaseStatus:
        worker, run = self._consumer.worker, self._consumer.queue.scripts.run
        answer = run("settle", self.job.songhash, self.token, worker, self._message, outcome, *fields)
        return cast(LeaseStatus, answer.decode())


class Consumer:
    """One worker. Its name has a random part, since host names and process ids repeat."""

    def __init__(self, redis: Redis, blocking: Redis, settings: Settings) -> None:
        self.queue = Queue(redis, settings)
        self.worker = f"{platform.node()}-{os.getpid()}-{secrets.token_hex(4)}"
        self.run_key = f"{self.queue.prefix}run:{self.worker}"
        self._blocking, self._block_seconds = blocking, settings.block_seconds
        self._models = ""  # a JSON list of names; empty: any model

    @classmethod
    def from_settings(cls, settings: Settings) -> Consumer:
        return cls(connect(settings, retries=3, seconds=5), connect_blocking(settings), settings)

    def advertise_models(self, content: Mapping[str, Any]) -> None:
        """Store which models this worker has, which counts while it holds a lease; it then gets only jobs for these."""
        self._models = json.dumps([model["name"] for model in content["models"]])
        self.queue.scripts.run("advertise_models", self.worker, json.dumps({**content, "per_worker": True}))

    def claim_next(self, listening: AbstractContextManager[None] | None = None) -> Lease | None:
        """Wait for a job, at most BLOCK_SECONDS, and claim it; None where there is none.

        `listening` is entered around the blocking wait only, while no job is held. It may raise, as a worker's does:
        Draining at SIGTERM.
        A message that is no job becomes a dead letter; a job for a model that this worker lacks is parked. Raises
        QueueUnavailable.
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
        """Renew this worker's lease; store stage and progress of its job, and update `lease.status`."""
        facts = (lease.job.songhash, lease.token, lease.stage, lease.progress) if lease else ("",)
        status = cast(LeaseStatus, self.queue.scripts.run("renew", self.worker, *facts).decode())
        if lease:
            lease.status = status
        return status

    def deregister(self) -> None:
        """End this worker's lease at once; its job, if any, is reclaimed."""
        self.queue.scripts.run("reclaim", self.worker)

    def _next_message(self, listening: AbstractContextManager[None]) -> bytes | None:
        """Return the message in this worker's list, where a reply was lost, else wait for the next one."""
        found: bytes | int | None = self.queue.scripts.run("take_next", self.worker, self._models)
        if isinstance(found, bytes):
            return found
        # BLMOVE does not find parked jobs, so poll for them where there were some lately.
        seconds = cast(int, self._block_seconds if found is None else min(self._block_seconds, _PARKED_POLL_SECONDS))
        with translate_errors(), listening:
            source = self.queue.name
            try:
                return cast(bytes | None, self._blocking.blmove(source, self.run_key, seconds, "RIGHT", "LEFT"))
            except OutOfMemoryError:  # a full Redis refuses BLMOVE, but not the script
                time.sleep(seconds)
                return None


def _error(problem: Problem) -> str:
    return json.dumps({"code": problem.code, "message": problem.detail})
