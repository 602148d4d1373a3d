"""The queue as everyone but a worker sees it: enqueue a job, ask for its status, list, remove, keep in order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any, cast

from redis import Redis

from msas.cost import cost_minutes
from msas.errors import TooMany
from msas.job import Job, Status
from msas.queue.admission import RETRY_AFTER_SECONDS, UNBOUNDED, Bounds, JobLookup
from msas.queue.callback_record import callback_id, callback_json
from msas.queue.connection import Scripts, connect, translate_errors
from msas.queue.job_view import JobView, build_job_view, job_fields
from msas.queue.offers import merge_offers
from msas.settings import Settings

_MOST_CALLBACKS, _MOST_CALLBACK_BYTES = 100, 256 * 1024  # of one song, all told; each status reads them
_PAGE = 500  # jobs that one call lists
_SCANNED = 1000  # keys, or members of a set, that one call reads


@dataclass(frozen=True)
class JobList:
    """Songhashes of jobs: a part of those that wait, oldest first; those that run; those that wait for their next
    attempt. `count` says how many wait in all."""

    waiting: list[str]
    running: list[str]
    delayed: list[str]
    count: int


class Queue:
    """The jobs in Redis. Every method raises QueueUnavailable where Redis does not answer."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self.redis, self.name, self.scripts = redis, settings.work_queue, Scripts(redis, settings)
        self._lease_ms = int(settings.lease_seconds * 1000)
        # The braces put every key of ours in the slot of the queue itself.
        self.prefix = f"{{{self.name}}}:"

    @classmethod
    def from_settings(cls, settings: Settings) -> Queue:
        return cls(connect(settings), settings)

    def advertised_models(self, owner: str = "", bounds: Bounds = UNBOUNDED) -> dict[str, Any] | None:
        """Return the union of the models of all workers that hold a lease; without such workers, the last offer.

        Returns None before the first worker came up. Raises QueueFull or TooMany where one more job of `owner` would
        exceed the `bounds`.
        """
        bound, *offers = self.scripts.run("check_bounds", owner, *astuple(bounds))
        bounds.check(bound.decode(), owner)
        return merge_offers(offers)

    def has_room(self, owner: str, bounds: Bounds) -> bool:
        """Say whether one more job of `owner` keeps the bounds."""
        return not self.scripts.run("check_bounds", owner, *astuple(bounds))[0]

    def look_up(self, songhash: str, owner: str, size: int | None = None) -> JobLookup:
        """Return what is known of a job that may be enqueued by `owner`.

        With the `size` of its song in bytes, the song is noted as received unless it is stored already.
        """
        arguments = (songhash, owner, "" if size is None else size)
        status, pruned, callback_bytes, removals, owners = self.scripts.run("look_up", *arguments)
        return JobLookup(
            status=Status(status.decode()) if status else None,
            is_incomplete=bool(pruned),
            callback_bytes=callback_bytes,
            removals=removals,
            owners=frozenset(owners.decode().split()),
        )

    def enqueue(self, job: Job, *, perhaps_lost: bool = False) -> tuple[bool, Status]:
        """Put `job` at the end of its owner's line; its song must be in the store already.

        Returns whether it was put there, and its status: a job that is queued, running or succeeded stays as it
        is, and so does one that is being removed (cancelled); one that failed or lost a stem is separated again.
        With `perhaps_lost`, one that should be in line or in work, but whose message is nowhere, is put there too.
        Where it stood already, the job's callback is told of its end as well; raises TooMany where too many wait.
        """
        created, status, _ = self._enqueue(job, UNBOUNDED, perhaps_lost)
        return created, status

    def admit(self, job: Job, bounds: Bounds, removals: int) -> tuple[bool, Status, bool]:
        """Enqueue a job that somebody sent. Raises QueueFull or TooMany where it is new and exceeds the `bounds`.

        Also returns whether any removal has begun since `removals` were counted: it may have removed the song.
        """
        created, status, begun = self._enqueue(job, bounds, perhaps_lost=False)
        return created, status, created and begun != removals

    def _enqueue(self, job: Job, bounds: Bounds, perhaps_lost: bool) -> tuple[bool, Status, int]:
        message = replace(job, callback=None).message()  # the job's hash holds it
        cost = cost_minutes(job.options, job.seconds)
        facts = (job.songhash, message, "1" if perhaps_lost else "", job.owner, cost)
        created, answer, removals = self.scripts.run("enqueue", *facts, *astuple(bounds), *job_fields(job))
        bounds.check(answer.decode(), job.owner)
        if not created and job.callback and not perhaps_lost:
            self._subscribe(job.songhash, job.callback, job.owner)
        return bool(created), Status(answer.decode()), removals

    def _subscribe(self, songhash: str, callback: Mapping[str, Any], owner: str) -> None:
        arguments = (callback_id(callback), callback_json(callback), owner, _MOST_CALLBACKS, _MOST_CALLBACK_BYTES)
        if self.scripts.run("add_callback", songhash, *arguments) == b"full":
            raise TooMany("The song has too many pending callbacks; send it again later.", RETRY_AFTER_SECONDS)

    def job(self, songhash: str) -> JobView | None:
        """Return the job; None where there is none."""
        return self.jobs([songhash])[songhash]

    def jobs(self, songhashes: Sequence[str]) -> dict[str, JobView | None]:
        """Return each job; None where there is none."""
        with translate_errors(), self.redis.pipeline(transaction=False) as pipeline:
            for songhash in songhashes:
                pipeline.hgetall(self.job_key(songhash))
            jobs: dict[str, dict[bytes, bytes]] = dict(zip(songhashes, pipeline.execute(), strict=True))
        queued = [songhash for songhash, fields in jobs.items() if fields.get(b"status") == b"queued"]
        found = self.scripts.run("positions", *queued) if queued else []
        positions = {songhash: position or None for songhash, position in zip(queued, found, strict=True)}
        return {
            songhash: build_job_view(songhash, {k.decode(): v for k, v in fields.items()}, positions.get(songhash))
            if fields
            else None
            for songhash, fields in jobs.items()
        }

    def statuses(self, songhashes: Sequence[str]) -> dict[str, Status | None]:
        """Return the status of each job, None where there is none."""
        with translate_errors(), self.redis.pipeline(transaction=False) as pipeline:
            for songhash in songhashes:
                pipeline.hget(self.job_key(songhash), "status")
            found = pipeline.execute()
        return {songhash: Status(x.decode()) if x else None for songhash, x in zip(songhashes, found, strict=True)}

    def list_jobs(self, skip: int, most: int, owner: str | None = None) -> JobList:
        """Return `most` of the jobs that wait, after the first `skip`, with those that run and those that are delayed.

        With `owner`, only that owner's.
        """
        *parts, count = self.scripts.run("list_jobs", skip, most, "" if owner is None else "1", owner or "")
        waiting, running, delayed = ([songhash.decode() for songhash in part] for part in parts)
        return JobList(waiting, running, delayed, count)

    def list_all_jobs(self) -> tuple[list[str], list[str], list[str]]:
        """Return all songhashes that wait, oldest first; that run; at most 500 that wait for their next attempt.

        Jobs that move meanwhile may be missing: the queue is read page by page, so that nobody waits for Redis.
        """
        found = self.list_jobs(0, _PAGE)
        waiting, running, delayed = found.waiting, found.running, found.delayed
        while len(found.waiting) == _PAGE:
            found = self.list_jobs(len(waiting), _PAGE)
            waiting += found.waiting
        return waiting, running, delayed

    def add_owners(self, songhash: str, names: Iterable[str]) -> None:
        """Note that the songs of these owners' keys include this one."""
        self.scripts.run("add_owners", songhash, " ".join(names))

    def cancel(self, songhash: str, remover: str, ended_before: int | None = None, owner: str = "") -> str:
        """Stop the job, wherever it is, for `remover` to remove its objects and then `drop` it.

        With `ended_before`, in ms of Redis' clock, only one that ended by then, or that is unknown. With `owner`, only
        one of that owner: where it has others, too, it only stops to be this owner's.
        Returns the status it was in; '' where it was unknown; 'busy' where another removes it; 'kept'; 'shared'.
        """
        before = "" if ended_before is None else ended_before
        answer: bytes = self.scripts.run("cancel", songhash, remover, before, owner)
        return answer.decode()

    def delete_cancelled(self, songhash: str, remover: str, *, removed: bool = True) -> None:
        """Forget a cancelled job whose objects `remover` has `removed`; else let another remove them.

        Where a worker still has the job, it is forgotten once that one lets go of it.
        """
        self.scripts.run("delete_cancelled", songhash, remover, "1" if removed else "")

    def restore_result(self, songhash: str, ended_at: int, *, is_incomplete: bool = False) -> bool:
        """Note a job as succeeded, at `ended_at` in ms, whose stems and report lie finished in the store.

        Returns False, and changes nothing, where it is in work, has succeeded, or is being removed; and where it is
        unknown because somebody removed it within a day.
        """
        return bool(self.scripts.run("restore_result", songhash, ended_at, "1" if is_incomplete else ""))

    def forget_stem(self, job: JobView, owner: str = "") -> int:
        """Note that a stem of a job that succeeded is removed: sent again, the job is separated again.

        Returns 1; 0 where it has not succeeded; -1 where `owner` is given and others own it, too; -2 where it has
        another version by now than `job`.
        """
        pruned: int = self.scripts.run("forget_stem", job.songhash, job.version, owner)
        return pruned

    def note_report_changed(self, job: JobView) -> None:
        """Note that the report on this separation has changed since `prune`: who read it meanwhile reads it anew."""
        self.scripts.run("forget_stem", job.songhash, f"{job.version.partition(' ')[0]} ", "")

    def ended_before(self, before: int) -> list[str]:
        """Return jobs that ended `before`, in ms of Redis' clock, and cancelled ones that nobody removed yet."""
        with translate_errors():
            found = cast(list[bytes], self.redis.zrangebyscore(f"{self.prefix}ended", "-inf", before, 0, 1000))
        return [songhash.decode() for songhash in found]

    def all_ended(self) -> Iterator[str]:
        """Yield all jobs that have ended, in no order."""
        with translate_errors():
            for songhash, _ in self.redis.zscan_iter(f"{self.prefix}ended", count=_SCANNED):
                yield cast(bytes, songhash).decode()

    def removed(self) -> set[str]:
        """Return the jobs that somebody removed within a day, and nobody sent again: what the store may still get of
        them comes from a worker that does not know it yet."""
        with translate_errors():
            return {
                songhash.decode() for songhash in cast(list[bytes], self.redis.zrange(f"{self.prefix}removed", 0, -1))
            }

    def reclaim(self) -> None:
        """Put back in line what is due and what lost workers held. Anyone may, as often as they like."""
        self.scripts.run("reclaim", "")

    def register_missing_workers(self) -> None:
        """Make known again workers that hold something, but that a Redis which lost its last seconds forgot."""
        with translate_errors():
            for key in self.redis.scan_iter(f"{self.prefix}run:*", count=_SCANNED):
                self.scripts.run("register_worker", cast(bytes, key).removeprefix(f"{self.prefix}run:".encode()))

    def now(self) -> int:
        """Return the time by Redis' clock, in ms."""
        with translate_errors():
            seconds, micros = self.redis.time()
        return seconds * 1000 + micros // 1000

    def advertise_models(self, content: Mapping[str, Any] | None) -> None:
        """Say which models the workers can run, as workers of the release before do. None: nothing is known."""
        with translate_errors():
            self.redis.set(f"{self.prefix}offer", json.dumps(content))
            if content is None:
                self.redis.delete(f"{self.prefix}offers")

    def job_key(self, songhash: str) -> str:
        return f"{self.prefix}job:{songhash}"
