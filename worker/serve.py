"""Builds a worker from its parts (consumer, heartbeat, watchdog, scratch folder) and runs its loop."""

from __future__ import annotations

import logging
from typing import Any

from msas.cost import SongLimits
from msas.logs import log
from msas.queue import Consumer, Queue
from msas.settings import Settings, SettingsError
from msas.store import Store
from msas.upkeep.threads import start_reclaiming
from worker.drain import Drain
from worker.heartbeat import Heartbeat, Liveness
from worker.loop import Engines, Worker
from worker.metrics import MetricsServer, WorkerMetrics
from worker.system import scratch_folder
from worker.watchdog import Watchdog

SICK = 3  # exit status; Kubernetes waits longer before each start

_log = logging.getLogger("msas.worker")


def watched(settings: Settings) -> tuple[WorkerMetrics, Liveness]:
    """Return the metrics and the liveness of this worker, and serve both at METRICS_PORT where it is set.

    Raises SettingsError where that port is taken.
    """
    metrics, liveness = WorkerMetrics(), Liveness(settings.lease_seconds)
    if settings.metrics_port:
        try:
            MetricsServer(settings.metrics_port, liveness, metrics.registry).start()
        except OSError as error:
            port, why = settings.metrics_port, error.strerror
            raise SettingsError(f"METRICS_PORT {port} can not be had ({why}); choose another, or 0 for none.") from None
    return metrics, liveness


def serve(settings: Settings, models: Engines, metrics: WorkerMetrics, liveness: Liveness, **about: Any) -> int:
    """Run jobs with `models` until SIGTERM or SIGINT; `about` is logged beside the worker's name.

    Return the exit status: 0, or SICK where this worker must not go on.
    """
    drain = Drain(settings.drain_seconds)
    drain.install()
    consumer, store = Consumer.from_settings(settings), Store.from_settings(settings, retries=3)
    heartbeat = Heartbeat(consumer, settings.beat_seconds, drain, liveness)
    watchdog = Watchdog(settings.stall_seconds)
    with scratch_folder() as scratch:
        log.event(_log, "ready", worker=consumer.worker, model=models.default, **about)
        start_reclaiming(Queue.from_settings(settings), settings)
        limits = SongLimits.from_settings(settings)
        sick = Worker(consumer, store, models, heartbeat, watchdog, drain, metrics, scratch, limits).run()
    log.event(_log, "stopped")
    return SICK if sick else 0
