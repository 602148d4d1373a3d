"""Limits on enqueuing: the bounds of the queue and of each owner, and what Redis knows of a job before it."""

from __future__ import annotations

from dataclasses import dataclass

from msas.errors import QueueFull, TooMany
from msas.job import Status
from msas.settings import Settings

RETRY_AFTER_SECONDS = 60


@dataclass(frozen=True)
class Bounds:
    """The most jobs that may wait; the most unfinished jobs of an owner, and their most cost in minutes."""

    jobs: int
    jobs_per_owner: int
    cost_minutes_per_owner: float

    @classmethod
    def from_settings(cls, settings: Settings) -> Bounds:
        return cls(settings.max_queue, settings.max_queue_per_key, settings.max_cost_minutes_per_key)

    def check(self, answer: str, owner: str) -> None:
        """Raise QueueFull or TooMany where a script's `answer` names a bound that was reached."""
        if answer == "full":
            raise QueueFull(f"The queue is full: it holds {self.jobs} songs; send this one again later.")
        if answer == "over_share":
            raise TooMany(
                f"The key {owner!r} has reached its share of the queue: {self.jobs_per_owner} songs, or "
                f"{self.cost_minutes_per_owner:,.0f} minutes of work; wait until one of its songs has ended.",
                RETRY_AFTER_SECONDS,
            )


UNBOUNDED = Bounds(0, 0, 0)


@dataclass(frozen=True)
class JobLookup:
    """What Redis knows of a job before it is enqueued: its status, None for an unknown job; whether a stem was removed;
    the bytes of the owner's pending callbacks; the number of removals, of any job, that have begun; its owners."""

    status: Status | None
    is_incomplete: bool
    callback_bytes: int
    removals: int
    owners: frozenset[str]
