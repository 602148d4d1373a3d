"""The queue as its callers see it: enqueue a job, ask for its status, list, remove."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from redis import Redis, RedisError

from msas.job import Job, State
from msas.models import Model, stem_order
from msas.queue.connection import Scripts, unavailable


@dataclass(frozen=True)
class Track:
    """A stem as it lies in the store: its name, file extension, size in bytes and length in seconds."""

    name: str
    extension: str
    bytes: int
    seconds: float


@dataclass(frozen=True)
class JobStatus:
    """A job's state at one moment. `position` counts from 1, the next to be taken; None unless queued."""

    songhash: str
    state: State
    model: str | None
    name: str
    attempt: int
    stage: str | None
    progress: float
    position: int | None
    enqueued_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    tracks: tuple[Track, ...]
    options: dict[str, Any] | None
    report: dict[str, Any] | None
    error: dict[str, str] | None


class Keys:
    """Every Redis key of ours. The braces put them all in the slot of the queue itself."""

    def __init__(self, work_queue: str) -> None:
        self.queue = work_queue
        self.prefix = f"{{{work_queue}}}:"
        self.workers = f"{self.prefix}workers"
        self.dead = f"{self.prefix}dead"
        self.tick = f"{self.prefix}tick"
        self.claims = f"{self.prefix}claims"
        self.offer = f"{self.prefix}offer"

    def job(self, songhash: str) -> str:
        return f"{self.prefix}job:{songhash}"

    def taken(self, worker: str) -> str:
        return f"{self.prefix}run:{worker}"


class Queue:
    """The jobs in Redis. Every method raises QueueUnavailable where Redis does not answer."""

    def __init__(self, redis: Redis, work_queue: str = "toWorker") -> None:
        self.redis, self.keys, self.scripts = redis, Keys(work_queue), Scripts(redis)

    def enqueue(self, job: Job) -> tuple[bool, State]:
        """Put `job` at the end of the line; its song must be in the store already.

        Returns whether it was put there, and its state: a job that is queued, running or succeeded
        stays as it is, one that failed or lost a stem is separated again.
        """
        created, state = self.scripts.run(
            "enqueue",
            [self.keys.job(job.songhash), self.keys.queue],
            [job.message(), *fields_of(job)],
        )
        return bool(created), State(state.decode())

    def status(self, songhash: str) -> JobStatus | None:
        """Return the state of the job, or None where there is none."""
        try:
            fields: dict[bytes, bytes] = self.redis.hgetall(self.keys.job(songhash))  # type: ignore[assignment]
            position = None
            if fields and fields[b"status"] == b"queued":
                with self.redis.pipeline() as pipeline:
                    pipeline.llen(self.keys.queue)
                    pipeline.lpos(self.keys.queue, fields[b"message"], rank=-1)  # type: ignore[arg-type]
                    length, index = pipeline.execute()
                position = None if index is None else length - index
        except RedisError as error:
            raise unavailable(error) from error
        return _status(songhash, {k.decode(): v for k, v in fields.items()}, position) if fields else None

    def overview(self) -> tuple[list[str], list[str]]:
        """Return the songhashes that wait, oldest first, and those that run."""
        waiting, running = self.scripts.run("overview", [self.keys.workers, self.keys.queue], [self.keys.prefix])
        return [songhash.decode() for songhash in waiting], [songhash.decode() for songhash in running]

    def remove(self, songhash: str) -> State | None:
        """Forget a job that waits or is over; return the state it was in, None where there was none.

        A running job is left as it is.
        """
        state = self.scripts.run("remove", [self.keys.job(songhash), self.keys.queue], [])
        return State(state.decode()) if state else None

    def drop_track(self, songhash: str, stem: str) -> None:
        """Forget one stem of a job that succeeded. Asked for again, such a job is separated again."""
        self.scripts.run("drop_track", [self.keys.job(songhash)], [f"track:{stem}"])

    def ping(self) -> None:
        """Do nothing where Redis answers."""
        try:
            self.redis.ping()
        except RedisError as error:
            raise unavailable(error) from error

    def offer(self, models: list[Model], default: str) -> None:
        """Say which models the workers can run; the last worker to come up has the word."""
        content = {"models": [asdict(model) for model in models], "default": default}
        try:
            self.redis.set(self.keys.offer, json.dumps(content))
        except RedisError as error:
            raise unavailable(error) from error

    def offered(self) -> tuple[list[Model], str] | None:
        """Return the models that the workers can run and the default's name; None before any came up."""
        try:
            content = self.redis.get(self.keys.offer)
        except RedisError as error:
            raise unavailable(error) from error
        if content is None:
            return None
        offer = json.loads(content)
        return [Model(m["name"], tuple(m["stems"]), m["about"]) for m in offer["models"]], offer["default"]

    def withdraw_offer(self) -> None:
        """Forget which models the workers can run, until the next one comes up."""
        try:
            self.redis.delete(self.keys.offer)
        except RedisError as error:
            raise unavailable(error) from error


def fields_of(job: Job) -> list[str]:
    """Return what a job's hash holds beside its state, as field, value, field, value."""
    fields = ["name", job.name, "model", job.options.model if job.options else ""]
    return [*fields, "options", json.dumps(asdict(job.options))] if job.options else fields


def _status(songhash: str, fields: Mapping[str, bytes], position: int | None) -> JobStatus:
    def text(name: str) -> str | None:
        return fields[name].decode() if name in fields else None

    def content(name: str) -> dict[str, Any] | None:
        return json.loads(fields[name]) if name in fields else None

    def moment(name: str) -> datetime | None:
        return datetime.fromtimestamp(int(fields[name]) / 1000, UTC) if name in fields else None

    stems = tuple(name.removeprefix("track:") for name in fields if name.startswith("track:"))
    state = State(fields["status"].decode())
    return JobStatus(
        songhash=songhash,
        state=state,
        model=text("model") or None,
        name=text("name") or "",
        attempt=int(fields.get("attempt", 0)),
        stage=text("stage") if state is State.RUNNING else None,
        progress=1.0 if state is State.SUCCEEDED else float(fields.get("progress", 0)),
        position=position,
        enqueued_at=moment("enqueued_at"),
        started_at=moment("started_at"),
        ended_at=moment("ended_at"),
        tracks=tuple(_track(fields[f"track:{stem}"]) for stem in stem_order(stems)),
        options=content("options"),
        report=content("report") if state is State.SUCCEEDED else None,
        error=content("error") if state is State.FAILED else None,
    )


def _track(value: bytes) -> Track:
    content: dict[str, Any] = json.loads(value)
    return Track(**content)
