"""What a worker counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, disable_created_metrics

from msas.job import Stage
from worker.machine import peak_rss_mb

# How a job can end for this worker, as its log says it; `lost`: in other hands by now, or nobody could be told.
RESULTS = ("succeeded", "failed", "cancelled", "handed back", "put off", "to be tried again", "lost")
_SECONDS = (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000)
_FACTORS = (0.1, 0.3, 1, 3, 10, 30, 100, 300)


class Counts:
    """One worker's counts; `registry` shows them."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # or each count would have its birthday beside it
        self.registry = registry = CollectorRegistry()
        self._jobs = Counter("msas_jobs", "Jobs by how they ended here", ["result"], registry=registry)
        self._stages = Histogram(
            "msas_job_stage_seconds",
            "How long a separation spent in each stage, in seconds",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._factor = Histogram(
            "msas_real_time_factor",
            "Seconds of song separated a second, all stages together",
            ["model", "device"],
            buckets=_FACTORS,
            registry=registry,
        )
        self._attempts = Histogram(
            "msas_job_attempts", "Which attempt at its job a claim was", buckets=(1, 2, 3), registry=registry
        )
        self._lost = Counter("msas_leases_lost", "Leases that this worker lost while it worked", registry=registry)
        self._loads = Summary(
            "msas_model_load_seconds", "How long models took to load, in seconds", ["model"], registry=registry
        )
        self._busy = Gauge("msas_worker_busy", "Whether a job is in work: 1 or 0", registry=registry)
        peak = Gauge("msas_peak_rss_bytes", "The most memory that this worker ever held", registry=registry)
        peak.set_function(lambda: 1e6 * (peak_rss_mb() or 0))
        for result in RESULTS:  # from 0 on, or Prometheus would miss the first of each
            self._jobs.labels(_label(result))
        for stage in Stage:
            self._stages.labels(stage.value)

    @contextmanager
    def job(self, attempt: int) -> Iterator[None]:
        """Count a job that was claimed, for the `attempt`th time; in the block it is in work."""
        self._attempts.observe(attempt)
        with self._busy.track_inprogress():
            yield

    def settled(self, result: str) -> None:
        """Count how a job ended here: one of RESULTS."""
        self._jobs.labels(_label(result)).inc()
        if result == "lost":
            self._lost.inc()

    def separated(self, report: Mapping[str, Any]) -> None:
        """Count what the report on a separation says of its speed."""
        for stage, seconds in report["seconds"].items():
            self._stages.labels(stage).observe(seconds)
        self._factor.labels(report["model"], report["device"]).observe(report["real_time_factor"])

    def loaded(self, model: str, seconds: float) -> None:
        """Count a model that was loaded."""
        self._loads.labels(model).observe(seconds)


def _label(result: str) -> str:
    return result.replace(" ", "_")
