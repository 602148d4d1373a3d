"""The worker's loop: claims a job, separates its song, and settles the job by how that ended."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from msas.cost import SongLimits
from msas.errors import Problem, QueueUnavailable, StoreRefused, StoreUnavailable, Unavailable
from msas.job import Job, Stage
from msas.logs import log
from msas.models import Model
from msas.options import Options
from msas.queue import Consumer, Lease, LeaseStatus, ModelSpeeds
from msas.store import Store
from worker.drain import Drain, Draining
from worker.engines import Engine
from worker.heartbeat import Cancelled, Heartbeat, LeaseLost
from worker.metrics import WorkerMetrics
from worker.pipeline.separation import separate_song
from worker.sickness import Sickness
from worker.speeds import Speeds
from worker.watchdog import Watchdog

_PAUSE_SECONDS = 1.0  # between two calls to a server that does not answer

_log = logging.getLogger("msas.worker")


class Engines(Protocol):
    """The models that a worker offers, and the engine of each; `about` is published in Redis beside them."""

    default: str
    offer: list[Model]

    @property
    def about(self) -> Mapping[str, Any]: ...

    def engine(self, name: str, loading: Callable[[], None] = ...) -> Engine: ...

    def refresh(self) -> None: ...


@dataclass
class Worker:
    """Takes jobs one at a time, until it drains. `scratch` is a folder for songs, `limits` what a song may cost."""

    consumer: Consumer
    store: Store
    models: Engines
    heartbeat: Heartbeat
    watchdog: Watchdog
    drain: Drain
    metrics: WorkerMetrics
    scratch: str
    limits: SongLimits
    sickness: Sickness = field(default_factory=Sickness)
    speeds: Speeds = field(init=False)

    def __post_init__(self) -> None:
        self.speeds = Speeds(ModelSpeeds(self.consumer.queue))

    def run(self) -> bool:
        """Take turns until told to stop; wait while Redis is away. Return whether this worker is sick."""
        with self.heartbeat:
            while not (self.drain.begun or self.sickness.illness):
                try:
                    self.turn()
                except Draining:
                    break
                except QueueUnavailable as problem:
                    log.event(_log, "queue away", logging.WARNING, why=problem.detail)
                    self.drain.wait(_PAUSE_SECONDS)
        self._until_redis_answers(self.consumer.deregister)
        return bool(self.sickness.illness)

    def turn(self) -> bool:
        """Take one job, if there is one, and settle it. Return whether there was one."""
        self.models.refresh()
        offered = {"models": [vars(model) for model in self.models.offer], "default": self.models.default}
        # In each turn, since Redis may have lost it.
        self.consumer.advertise_models({**offered, **self.models.about})
        self.speeds.publish()
        lease = self.consumer.claim_next(self.drain.listening())
        if lease is None:
            return False
        with log.bound(**lease.log_fields), self.metrics.job(lease.attempt):
            log.event(_log, "job claimed")
            store_failed = self._serve(lease)
        if store_failed:  # the next job would meet the same
            self._wait_for_store()
        return True

    def _serve(self, lease: Lease) -> bool:
        """Separate the job's song, and settle the job by how that ended. Return whether the store was the reason."""
        result: str
        held: LeaseStatus | None
        store_failed = False
        with self.heartbeat.holding(lease):
            try:
                self._separate(lease.job)
            except LeaseLost:
                result, held = "lost", "lost"
            except Cancelled:
                result, held = "cancelled", "cancelled"
            except Draining:
                result, held = "handed back", self._until_redis_answers(lease.release)
            except Unavailable as problem:
                log.event(_log, "store away", logging.WARNING, why=problem.detail)
                result, held = "put off", self._until_redis_answers(partial(lease.postpone, problem))
                store_failed = isinstance(problem, StoreUnavailable)
            except Problem as problem:
                log.event(_log, "song refused", code=problem.code, why=problem.detail)
                result, held = "failed", self._until_redis_answers(partial(lease.fail, problem))
                store_failed = isinstance(problem, StoreRefused)
            except Exception as error:
                result, held = self._settle_unforeseen(lease, error)
            else:
                result, held = "succeeded", self._until_redis_answers(lease.succeed)
            if held == "cancelled":
                result, held = "cancelled", self._until_redis_answers(partial(self._remove_stored, lease))
        if held is None:
            result = "unsettled"
        elif held != "ok":
            result = "lost"
        log.event(_log, "lease lost" if result == "lost" else f"job {result}")
        self.metrics.settled(result)
        if result == "succeeded":
            self._remove_message(lease.job)
        return store_failed

    def _separate(self, job: Job) -> None:
        """Separate the job's song and store its stems, unless an attempt before this one stored them all."""
        published, _ = self.store.published(job.songhash) or (None, None)
        if published and not published.removed:
            return
        options = job.options or Options(self.models.default)
        engine = self.models.engine(options.model, partial(self.heartbeat.note_progress, Stage.LOADING, 0.0))
        control, watchdog = self.heartbeat, self.watchdog
        report = separate_song(job, options, engine, self.store, control, watchdog, self.scratch, self.limits)
        self.metrics.separated(report)
        self.speeds.measure(report)
        self.sickness.succeeded()

    def _settle_unforeseen(self, lease: Lease, error: Exception) -> tuple[str, LeaseStatus | None]:
        """Settle after an error of ours: an attempt failed, or this worker is sick and another one gets the job."""
        _log.error("separation failed", exc_info=error)
        unforeseen = Problem("The separation failed on our side; the worker's log says why. Try again, or tell us.")
        self.sickness.failed(lease.job.songhash, error)
        if not self.sickness.illness:
            return "to be tried again", self._until_redis_answers(partial(lease.retry, unforeseen))
        log.event(_log, "worker sick", logging.ERROR, why=self.sickness.illness)
        if self.sickness.gpu_lost(error):  # counted, so that a song that breaks each GPU fails in the end
            return "put off", self._until_redis_answers(partial(lease.postpone, unforeseen))
        return "handed back", self._until_redis_answers(lease.release)

    def _until_redis_answers(self, call: Callable[[], LeaseStatus | None]) -> LeaseStatus | None:
        """Call `call`, again and again while Redis is away; None where this worker must stop before Redis is back."""
        while True:
            try:
                return call()
            except QueueUnavailable as problem:
                log.event(_log, "queue away", logging.WARNING, why=problem.detail)
                if self.drain.wait(_PAUSE_SECONDS):
                    return None  # the job stays in this worker's list, from which it is reclaimed

    def _remove_stored(self, lease: Lease) -> LeaseStatus | None:
        """Delete what is stored of a cancelled job, then acknowledge the cancellation."""
        try:
            self.store.remove_song(lease.job.songhash)
        except StoreUnavailable:
            return None  # the job is taken again, then acknowledged; the comparison deletes its objects
        return lease.acknowledge_cancel()

    def _remove_message(self, job: Job) -> None:
        try:
            self.store.remove_message(job.songhash)
        except StoreUnavailable as problem:  # the sweep deletes it
            log.event(_log, "message not removed", logging.WARNING, why=problem.detail)

    def _wait_for_store(self) -> None:
        """Wait until the store answers, or until told to stop."""
        while not self.drain.wait(_PAUSE_SECONDS):
            try:
                self.store.check_writable()
                break
            except StoreUnavailable as problem:
                log.event(_log, "store away", logging.WARNING, why=problem.detail)
