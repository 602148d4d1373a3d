"""The queue as a worker sees it: take a job under a lease, renew it, settle it."""

from __future__ import annotations

import json
import os
import platform
import secrets
from dataclasses import asdict
from typing import Any

from redis import Redis, RedisError

from msas.job import BrokenMessage, Job, Stage
from msas.problem import Problem
from msas.queue.connection import connect, connect_blocking, unavailable
from msas.queue.queue import Queue, Track, fields_of
from msas.settings import Settings

ATTEMPTS = 3
DEAD_KEPT = 1_000
_WORKER_LOST = {
    "code": "worker_lost",
    "message": "The worker was lost (killed, out of memory, or unreachable) each time it tried this song.",
}


class Lease:
    """A running job in this worker's hands, until it is settled or the lease runs out.

    Every change presents the lease's token: once another worker has the job, nothing here changes it.
    """

    def __init__(self, receiver: Receiver, job: Job, message: bytes, token: str, attempt: int) -> None:
        self.job, self.attempt, self.token = job, attempt, token
        self.stage, self.progress, self.lost = Stage.FETCHING, 0.0, False
        self._receiver, self._message = receiver, message

    def succeed(self, tracks: list[Track], model: str, report: dict[str, Any]) -> bool:
        """The stems are in the store: publish them. Returns False where the lease was lost."""
        fields = [x for track in tracks for x in (f"track:{track.name}", json.dumps(asdict(track)))]
        return self._settle("succeeded", "model", model, "progress", "1", "report", json.dumps(report), *fields)

    def fail(self, problem: Problem) -> bool:
        """Give the job up, with its reason. Returns False where the lease was lost."""
        return self._settle("failed", "error", json.dumps({"code": problem.code, "message": problem.detail}))

    def release(self) -> bool:
        """Hand the job back to the head of the line; the attempt does not count."""
        return self._settle("queued")

    def _settle(self, outcome: str, *fields: str) -> bool:
        queue, keys = self._receiver.queue, self._receiver.queue.keys
        answer = queue.scripts.run(
            "settle",
            [keys.job(self.job.songhash), self._receiver.taken, keys.queue],
            [self.token, self._message, outcome, *fields],
        )
        return bool(answer == b"ok")


class Receiver:
    """One worker's end of the queue. Its name has a nonce, for pod names and pid 1 repeat."""

    def __init__(self, redis: Redis, blocking: Redis, settings: Settings) -> None:
        self.queue = Queue(redis, settings.work_queue)
        self.worker = f"{platform.node()}-{os.getpid()}-{secrets.token_hex(4)}"
        self.taken = self.queue.keys.taken(self.worker)
        self._blocking, self._block_seconds = blocking, settings.block_seconds
        self._lease_ms = int(settings.lease_seconds * 1000)

    @classmethod
    def from_settings(cls, settings: Settings) -> Receiver:
        return cls(connect(settings, retries=3, seconds=5), connect_blocking(settings), settings)

    def take(self) -> Lease | None:
        """Wait up to BLOCK_SECONDS for a job and claim it; None where there was none.

        A message that is no job goes to the dead list. Raises QueueUnavailable where Redis is away.
        """
        self.beat(None)
        message = self._next_message()
        if message is None:
            return None
        try:
            job = Job.from_message(message)
        except BrokenMessage as broken:
            self._bury(message, str(broken))
            return None
        token, keys = secrets.token_hex(16), self.queue.keys
        attempt = self.queue.scripts.run(
            "claim",
            [keys.job(job.songhash), self.taken, keys.claims],
            [message, token, self.worker, job.songhash, *fields_of(job)],
        )
        return Lease(self, job, message, token, attempt) if attempt else None

    def beat(self, lease: Lease | None) -> None:
        """Renew this worker's lease; carry the stage and progress of `lease`, or learn that it is lost.

        Also takes back what other workers held whose leases ran out: were it left to idle workers alone,
        a deployment that is never idle would wait for ever.
        """
        keys = self.queue.keys
        key, news = (keys.job(lease.job.songhash), [lease.token, lease.stage, lease.progress]) if lease else ("", [""])
        answer = self.queue.scripts.run("beat", [keys.workers, key or keys.queue], [self.worker, self._lease_ms, *news])
        if lease and answer == b"lost":
            lease.lost = True
        self._tick()

    def leave(self) -> None:
        """Say goodbye: this worker takes nothing more. What it may still hold is reclaimed at once."""
        try:
            self.queue.redis.zadd(self.queue.keys.workers, {self.worker: 0})
        except RedisError as error:
            raise unavailable(error) from error
        self._tick()

    def _tick(self) -> None:
        keys = self.queue.keys
        self.queue.scripts.run(
            "tick",
            [keys.workers, keys.queue, keys.tick, keys.claims],
            [keys.prefix, self._lease_ms, ATTEMPTS, json.dumps(_WORKER_LOST)],
        )

    def _next_message(self) -> bytes | None:
        """Return what this worker holds already (a reply may have been lost), else wait for the next."""
        try:
            held: bytes | None = self.queue.redis.lindex(self.taken, -1)  # type: ignore[assignment]
            if held is not None:
                return held
            taken: bytes | None = self._blocking.blmove(  # type: ignore[assignment]
                self.queue.keys.queue,
                self.taken,
                self._block_seconds,  # type: ignore[arg-type]
                src="RIGHT",
                dest="LEFT",
            )
            return taken
        except RedisError as error:
            raise unavailable(error) from error

    def _bury(self, message: bytes, reason: str) -> None:
        entry = {"reason": reason, "message": message[:10_000].decode(errors="replace"), "bytes": len(message)}
        keys = self.queue.keys
        self.queue.scripts.run("bury", [self.taken, keys.dead], [message, json.dumps(entry), DEAD_KEPT])
