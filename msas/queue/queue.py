"""The queue except the worker's side: enqueue, read and list jobs, cancel, reclaim, restore results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any, cast

from redis import Redis

from msas.cost import cost_minutes
from msas.errors import TooMany
from msas.job import Job, Status
from msas.queue.bounds import RETRY_AFTER_SECONDS, UNBOUNDED, Bounds, JobLookup
from msas.queue.callback_record import callback_id, callback_json
from msas.queue.connection import Scripts, connect, translate_errors
from msas.queue.job_view import JobView, build_job_view, job_fields
from msas.queue.merge_offers import merge_offers
from msas.settings import Settings

_MOST_CALLBACKS, _MOST_CALLBACK_BYTES = 100, 256 * 1024  # pending ones of one song; each read of its job reads them
_PAGE = 500  # jobs that one call lists
_SCAN_COUNT = 1000  # keys, or members of a set, that one call reads


@dataclass(frozen=True)
class JobList:
    """Songhashes: a page of the waiting jobs, oldest first; the running jobs; the jobs that wait for a retry.
    `count` is the number of waiting jobs on all pages."""

    waiting: list[str]
    running: list[str]
    delayed: list[str]
    count: int


class Queue:
    """The jobs in Redis. Methods raise QueueUnavailable where Redis does not answer."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self.redis, self.name, self.scripts = redis, settings.work_queue, Scripts(redis, settings)
        self._lease_ms = int(settings.lease_seconds * 1000)
        # The braces put all keys in the slot of the queue's own key.
        self.prefix = f"{{{self.name}}}:"

    @classmethod
    def from_settings(cls, settings: Settings) -> Queue:
        return cls(connect(settings), settings)

    def advertised_models(self) -> dict[str, Any] | None:
        """Return the union of the models of all workers that hold a lease; without such workers, the last offer.

        Returns None before the first worker came up.
        """
        return self.check_bounds("", UNBOUNDED)

    def check_bounds(self, owner: str, bounds: Bounds) -> dict[str, Any] | None:
        """Raise QueueFull or TooMany where one more job of `owner` would exceed the `bounds`; return what
        `advertised_models` does."""
        bound, *offers = self.scripts.run("check_bounds", owner, *astuple(bounds))
        bounds.check(bound.decode(), owner)
        return merge_offers(offers)

    def has_room(self, owner: str, bounds: Bounds) -> bool:
        """Return whether one more job of `owner` would keep the bounds."""
        return not self.scripts.run("check_bounds", owner, *astuple(bounds))[0]

    def look_up(self, songhash: str, owner: str) -> JobLookup:
        """Return what Redis knows of a job that `owner` is about to enqueue."""
        return self._look_up(songhash, owner, "")

    def begin_receiving(self, songhash: str, owner: str, size: int) -> JobLookup:
        """Return what `look_up` does; record the song, of `size` bytes, as received where it will be stored."""
        return self._look_up(songhash, owner, size)

    def _look_up(self, songhash: str, owner: str, size: int | str) -> JobLookup:
        status, pruned, callback_bytes, removals, owners = self.scripts.run("look_up", songhash, owner, size)
        return JobLookup(
            status=Status(status.decode()) if status else None,
            is_incomplete=bool(pruned),
            callback_bytes=callback_bytes,
            removals=removals,
            owners=frozenset(owners.decode().split()),
        )

    def enqueue(self, job: Job, *, perhaps_lost: bool = False) -> tuple[bool, Status]:
        """Enqueue `job`, whose song must be in the store, where it is unknown; return whether it was, and its status.

        Without `perhaps_lost`: also a job that failed or lacks a removed stem. Where the job is not enqueued, its
        callback is added to the known job's; raises TooMany where these are too many. With it: an unknown job, and a
        queued or running one whose message is in no list; every other job stays as it is, and nothing is added to it.
        """
        created, status, _ = self._enqueue(job, UNBOUNDED, perhaps_lost)
        return created, status

    def admit(self, job: Job, bounds: Bounds, removals: int) -> tuple[bool, Status, bool]:
        """Enqueue a caller's job. Raises QueueFull or TooMany where a new job exceeds the `bounds`.

        The third value tells whether a removal, which may have deleted the song, began after `removals` was counted.
        """
        created, status, begun = self._enqueue(job, bounds, perhaps_lost=False)
        return created, status, created and begun != removals

    def _enqueue(self, job: Job, bounds: Bounds, perhaps_lost: bool) -> tuple[bool, Status, int]:
        message = replace(job, callback=None).message()  # the callback is in the job's hash
        cost = cost_minutes(job.options, job.seconds)
        facts = (job.songhash, message, "1" if perhaps_lost else "", job.owner, cost)
        created, answer, removals = self.scripts.run("enqueue", *facts, *astuple(bounds), *job_fields(job))
        bounds.check(answer.decode(), job.owner)
        if not created and job.callback and not perhaps_lost:
            self._add_callback(job.songhash, job.callback, job.owner)
        return bool(created), Status(answer.decode()), removals

    def _add_callback(self, songhash: str, callback: Mapping[str, Any], owner: str) -> None:
        arguments = (callback_id(callback), callback_json(callback), owner, _MOST_CALLBACKS, _MOST_CALLBACK_BYTES)
        if self.scripts.run("add_callback", songhash, *arguments) == b"full":
            raise TooMany("The song has too many pending callbacks; send it again later.", RETRY_AFTER_SECONDS)

    def job(self, songhash: str) -> JobView | None:
        """Return the job; None where Redis does not know it."""
        return self.jobs([songhash])[songhash]

    def jobs(self, songhashes: Sequence[str]) -> dict[str, JobView | None]:
        """Return each job; None where Redis does not know it."""
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
        """Return the status of each job; None for unknown jobs."""
        found = self.read_field(songhashes, "status")
        return {songhash: Status(x) if x else None for songhash, x in zip(songhashes, found, strict=True)}

    def read_field(self, songhashes: Iterable[str], name: str) -> list[str | None]:
        """Return one field of each job; None where a job lacks it."""
        with translate_errors(), self.redis.pipeline(transaction=False) as pipeline:
            for songhash in songhashes:
                pipeline.hget(self.job_key(songhash), name)
            return [x.decode() if x else None for x in pipeline.execute()]

    def list_jobs(self, skip: int, most: int, owner: str | None = None) -> JobList:
        """Return `most` waiting jobs after the first `skip`, all running ones, and at most `most` delayed ones.

        With `owner`, only the jobs of this owner.
        """
        *parts, count = self.scripts.run("list_jobs", skip, most, "" if owner is None else "1", owner or "")
        waiting, running, delayed = ([songhash.decode() for songhash in part] for part in parts)
        return JobList(waiting, running, delayed, count)

    def list_all_jobs(self) -> tuple[list[str], list[str], list[str]]:
        """Return the songhashes of all waiting jobs, oldest first, of all running and of at most 500 delayed ones.

        The queue is read in pages, so that Redis is never busy for long; jobs that move meanwhile may be missing.
        """
        found = self.list_jobs(0, _PAGE)
        waiting, running, delayed = found.waiting, found.running, found.delayed
        while len(found.waiting) == _PAGE:
            found = self.list_jobs(len(waiting), _PAGE)
            waiting += found.waiting
        return waiting, running, delayed

    def add_owners(self, songhash: str, names: Iterable[str]) -> None:
        """Add owners to a job."""
        self.scripts.run("add_owners", songhash, " ".join(names))

    def cancel(self, songhash: str, remover: str, ended_before: int | None = None, owner: str = "") -> str:
        """Cancel the job in any status; `remover` then deletes its objects and calls `delete_cancelled`.

        With `ended_before`, in ms of Redis' clock, only a job that ended by then, or that is unknown. With `owner`,
        only a job of this owner; a job that has other owners as well only loses this one.
        Returns the job's former status; '' for an unknown job; 'busy' where another process removes it; 'kept' where
        it has not ended by then; 'shared' where it has other owners.
        """
        before = "" if ended_before is None else ended_before
        answer: bytes = self.scripts.run("cancel", songhash, remover, before, owner)
        return answer.decode()

    def delete_cancelled(self, songhash: str, remover: str, *, removed: bool = True) -> None:
        """Delete a cancelled job whose objects `remover` has `removed`; otherwise let another process remove them.

        A job that a worker still holds is deleted when the worker acknowledges the cancellation.
        """
        self.scripts.run("delete_cancelled", songhash, remover, "1" if removed else "")

    def restore_result(self, songhash: str, ended_at: int, *, is_incomplete: bool = False) -> bool:
        """Mark a job, whose stems and report are in the store, as succeeded at `ended_at` in ms.

        Returns False, and changes nothing, where the job runs, has succeeded, is being removed, or was removed within
        the last day. `is_incomplete`: a stem was removed.
        """
        return bool(self.scripts.run("restore_result", songhash, ended_at, "1" if is_incomplete else ""))

    def note_stem_removed(self, job: JobView, owner: str = "") -> int:
        """Record that a stem of a succeeded job is removed, so that the same song, sent again, is separated again.

        Returns 1; 0 where the job has not succeeded; -1 where `owner` is given and the job has other owners; -2 where
        the job's version is no longer that of `job`.
        """
        answer: int = self.scripts.run("note_stem_removed", job.songhash, job.version, owner)
        return answer

    def note_report_changed(self, job: JobView) -> None:
        """Change the job's version after its report was rewritten, so that processes read the report again."""
        self.scripts.run("note_stem_removed", job.songhash, f"{job.version.partition(' ')[0]} ", "")

    def ended_before(self, before: int, most: int = 1000, *, with_cancelled: bool = True) -> list[str]:
        """Return at most `most` jobs that ended `before`, in ms of Redis' clock, first the cancelled ones, then in the
        order of their ends."""
        after = "-inf" if with_cancelled else "(0"
        with translate_errors():
            found = self.redis.zrangebyscore(f"{self.prefix}ended", after, before, 0, most)
        return [songhash.decode() for songhash in cast(list[bytes], found)]

    def all_ended(self) -> Iterator[str]:
        """Yield all jobs that have ended, in any order."""
        with translate_errors():
            for songhash, _ in self.redis.zscan_iter(f"{self.prefix}ended", count=_SCAN_COUNT):
                yield cast(bytes, songhash).decode()

    def reclaim(self) -> None:
        """Requeue the jobs whose retry is due and the jobs of lost workers. Any process may call this at any time."""
        self.scripts.run("reclaim", "")

    def register_missing_workers(self) -> None:
        """Register workers that have a message in their list but no lease, because Redis lost its last seconds."""
        with translate_errors():
            for key in self.redis.scan_iter(f"{self.prefix}run:*", count=_SCAN_COUNT):
                self.scripts.run(
                    "register_missing_worker", cast(bytes, key).removeprefix(f"{self.prefix}run:".encode())
                )

    def now(self) -> int:
        """Return the time by Redis' clock, in ms."""
        with translate_errors():
            seconds, micros = self.redis.time()
        return seconds * 1000 + micros // 1000

    def forget_models(self) -> None:
        """Delete all offers, as before the first worker came up."""
        with translate_errors():
            self.redis.delete(f"{self.prefix}offer", f"{self.prefix}offers")

    def job_key(self, songhash: str) -> str:
        return f"{self.prefix}job:{songhash}"
