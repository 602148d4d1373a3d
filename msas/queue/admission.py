"""Whether a job may be enqueued: the bounds of the queue and of each owner, and what is known of the job."""

from __future__ import annotations

from dataclasses import dataclass

from msas.errors import QueueFull, TooMany
from msas.job import Status
from msas.settings import Settings

LATER_SECONDS = 60


@dataclass(frozen=True)
class Bounds:
    """How many jobs may wait in all; how many of one owner's may be unfinished, and what they may cost, in minutes."""

    jobs: int
    jobs_per_owner: int
    cost_minutes_per_owner: float

    @classmethod
    def from_settings(cls, settings: Settings) -> Bounds:
        return cls(settings.max_queue, settings.max_queue_per_key, settings.max_cost_minutes_per_key)

    def check(self, answer: str, owner: str) -> None:
        """Raise QueueFull or TooMany where `answer`, a script's, says that a bound was reached."""
        if answer == "full":
            raise QueueFull(f"The queue holds {self.jobs} songs, as many as it may; send this one again later.")
        if answer == "over_share":
            raise TooMany(
                f"The key {owner!r} has as much in line as it may: {self.jobs_per_owner} songs, or "
                f"{self.cost_minutes_per_owner:,.0f} minutes of work; wait until one of its songs is done.",
                LATER_SECONDS,
            )


UNBOUNDED = Bounds(0, 0, 0)


@dataclass(frozen=True)
class JobLookup:
    """A job before it is enqueued: its status, None where there is none; whether it lost a stem; the bytes of its
    owner's callbacks that wait; how many removals, of any jobs, had begun; and the names of its owners."""

    status: Status | None
    is_incomplete: bool
    callback_bytes: int
    removals: int
    owners: frozenset[str]
