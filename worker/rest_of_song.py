"""Estimates how many seconds the song in hand will still take, for a worker that was told to stop."""

from __future__ import annotations

import time

from msas.cost import cost_minutes
from msas.job import Job, Stage

_SHORT_MINUTES = 0.5  # of cost; songs that cost less take as long as those that cost this much


class RestOfSong:
    """Measures the songs of one worker, one after the other."""

    def __init__(self) -> None:
        self._paces: dict[str, float] = {}  # model -> seconds of separating for a minute of cost
        self._model, self._cost = "", 0.0
        self._stage = Stage.FETCHING
        self._began = self._noted = 0.0  # when separating began, and when its progress was noted last
        self._progress_at_begin = self._progress = 0.0

    def begin(self, job: Job) -> None:
        """A job is in hand."""
        self._model = job.options.model if job.options else ""
        self._cost = max(_SHORT_MINUTES, cost_minutes(job.options, job.seconds)) if job.seconds else 0.0
        self._stage = Stage.FETCHING

    def note(self, stage: Stage, progress: float) -> None:
        """The job is at this stage, with this progress, 0 to 1."""
        now = time.monotonic()
        if stage is Stage.SEPARATING:
            if self._stage is not stage:
                self._began, self._progress_at_begin = now, progress
            self._noted, self._progress = now, progress
        elif self._stage is Stage.SEPARATING and self._cost:
            self._paces[self._model] = (now - self._began) / self._cost
        self._stage = stage

    def seconds(self) -> float | None:
        """Return how long the song will still take; None where nothing is known, or only its end is left."""
        now = time.monotonic()
        if self._stage in (Stage.ENCODING, Stage.STORING):
            return None
        if self._stage is Stage.SEPARATING:
            done = self._progress - self._progress_at_begin
            if done > 0:
                rest = (self._noted - self._began) * (1 - self._progress) / done
                return max(0.0, rest - (now - self._noted))
        pace = self._paces.get(self._model)
        if pace is None or not self._cost:
            return None
        return max(0.0, pace * self._cost - (now - self._began if self._stage is Stage.SEPARATING else 0.0))
