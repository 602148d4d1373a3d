"""The worker's loop: claims a job, separates its song, and settles the job by how that ended."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from msas.cost import SongLimits
from msas.errors import Problem, QueueUnavailable, StoreRefused, StoreUnavailable, Unavailable
from msas.job import Job
from msas.logs import log
from msas.models import Model
from msas.options import Options
from msas.queue import Consumer, Lease, LeaseStatus
from msas.store import Store
from worker.drain import Drain, Draining
from worker.engines import Engine
from worker.heartbeat import Cancelled, Heartbeat, LeaseLost
from worker.metrics import Counts
from worker.pipeline.separation import separate_song
from worker.sickness import Sickness
from worker.watchdog import Watchdog

_PAUSE_SECONDS = 1.0

_log = logging.getLogger("msas.worker")


class Engines(Protocol):
    """The models that a worker offers, and the engine of each; `about` is told of them to whoever asks Redis."""

    default: str
    offer: list[Model]

    @property
    def about(self) -> Mapping[str, Any]: ...

    def engine(self, name: str) -> Engine: ...


class Worker:
    """Takes jobs one at a time, until it drains."""

    def __init__(
        self,
        consumer: Consumer,
        store: Store,
        models: Engines,
        heartbeat: Heartbeat,
        watchdog: Watchdog,
        drain: Drain,
        counts: Counts,
        scratch: str,
        limits: SongLimits,
    ) -> None:
        """`scratch` is the folder for songs in work, `limits` what a song may be and cost."""
        self._consumer, self._store, self._models = consumer, store, models
        self._heartbeat, self._watchdog, self._drain, self._counts = heartbeat, watchdog, drain, counts
        self._scratch, self._limits = scratch, limits
        self._sickness = Sickness()

    def run(self) -> bool:
        """Take turns until told to stop; wait where Redis is away. Return whether it ended because it is sick."""
        with self._heartbeat:
            while not (self._drain.begun or self._sickness.illness):
                try:
                    self.turn()
                except Draining:
                    break
                except QueueUnavailable as problem:
                    log.event(_log, "queue away", logging.WARNING, why=problem.detail)
                    self._drain.wait(_PAUSE_SECONDS)
        self._until_answered(self._consumer.deregister)
        return bool(self._sickness.illness)

    def turn(self) -> bool:
        """Take one job, if there is one, and settle it. Returns whether there was one."""
        models = self._models
        offered = {"models": [vars(model) for model in models.offer], "default": models.default}
        self._consumer.advertise_models({**offered, **models.about})
        lease = self._consumer.claim_next(self._drain.listening())
        if lease is None:
            return False
        with log.bound(**lease.log_fields), self._counts.job(lease.attempt):
            met = self._work(lease)
        if isinstance(met, StoreUnavailable | StoreRefused):
            self._await_store()
        return True

    def _work(self, lease: Lease) -> Exception | None:
        """Do the job and settle it; return what went wrong."""
        log.event(_log, "job claimed")
        with self._heartbeat.holding(lease):
            settle, outcome, met = self._serve(lease)
            held = self._until_answered(settle)
        if held == "cancelled" and not isinstance(met, Cancelled):
            held, outcome = self._until_answered(lambda: self._clear_away(lease)), "cancelled"
        log.event(_log, f"job {outcome}" if held == "ok" else "lease lost")
        self._counts.settled(outcome if held == "ok" else "lost")
        if held == "ok" and outcome == "succeeded":
            self._forget_message(lease.job)
        return met

    def _serve(self, lease: Lease) -> tuple[Callable[[], LeaseStatus | None], str, Exception | None]:
        """Do the job; return how to settle it, the word for that, and what went wrong."""
        try:
            self._separate(lease.job)
        except Exception as error:
            return *self._settling(lease, error), error
        return lease.succeed, "succeeded", None

    def _separate(self, job: Job) -> None:
        """Separate the job's song and publish it, unless that was done and only the news of it was lost."""
        found = self._store.published(job.songhash)
        if found and not found[0].removed:
            return
        options = job.options or Options(self._models.default)
        engine = self._models.engine(options.model)
        watches = (self._heartbeat, self._watchdog)
        report = separate_song(job, options, engine, self._store, *watches, self._scratch, self._limits)
        self._counts.separated(report)
        self._sickness.succeeded()

    def _settling(self, lease: Lease, error: Exception) -> tuple[Callable[[], LeaseStatus | None], str]:
        """What went wrong, and what that means for the lease."""
        match error:
            case LeaseLost():
                return lambda: "lost", "lost"
            case Cancelled():
                return lambda: self._clear_away(lease), "cancelled"
            case Draining():
                return lease.release, "handed back"
            case Unavailable() as problem:
                log.event(_log, "store away", logging.WARNING, why=problem.detail)
                return lambda: lease.postpone(problem), "put off"
            case Problem() as problem:
                log.event(_log, "song refused", code=problem.code, why=problem.detail)
                return lambda: lease.fail(problem), "failed"
        _log.error("separation failed", exc_info=error)
        return self._settling_unforeseen(lease, error)

    def _settling_unforeseen(self, lease: Lease, error: Exception) -> tuple[Callable[[], LeaseStatus | None], str]:
        """A failure of ours is an attempt, unless this worker is sick: then another one gets the job, without blame."""
        unforeseen = Problem("The separation failed on our side; the worker's log says why. Try again, or tell us.")
        self._sickness.failed(lease.job.songhash, error)
        if not self._sickness.illness:
            return lambda: lease.retry(unforeseen), "to be tried again"
        log.event(_log, "worker sick", logging.ERROR, why=self._sickness.illness)
        if self._sickness.gpu_lost(error):  # a song that does so to each GPU must not circulate for ever
            return lambda: lease.postpone(unforeseen), "put off"
        return lease.release, "handed back"

    def _clear_away(self, lease: Lease) -> LeaseStatus | None:
        try:
            self._store.remove_song(lease.job.songhash)
        except StoreUnavailable:
            return None  # on the next turn we let go of it, and the reconciler removes what is left
        return lease.acknowledge_cancel()

    def _forget_message(self, job: Job) -> None:
        try:
            self._store.remove_message(job.songhash)
        except StoreUnavailable as problem:  # the reconciler does
            log.event(_log, "message not removed", logging.WARNING, why=problem.detail)

    def _until_answered(self, settle: Callable[[], LeaseStatus | None]) -> LeaseStatus | None:
        """Settle, again and again while Redis is away: the stems are stored, only the news is missing."""
        while True:
            try:
                return settle()
            except QueueUnavailable as problem:
                log.event(_log, "queue away", logging.WARNING, why=problem.detail)
                if self._drain.wait(_PAUSE_SECONDS):
                    return None  # what was taken stays in our list, for another to take up

    def _await_store(self) -> None:
        """Take nothing while the store takes nothing: every job would meet the same."""
        while not self._drain.wait(_PAUSE_SECONDS):
            try:
                self._store.check_writable()
                break
            except StoreUnavailable as problem:
                log.event(_log, "store away", logging.WARNING, why=problem.detail)
