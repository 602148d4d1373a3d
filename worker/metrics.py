"""Counts a worker's jobs for Prometheus, and serves /metrics and /healthz at METRICS_PORT."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Summary,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from msas.job import Stage
from msas.report import Report
from worker.heartbeat import Liveness
from worker.system import peak_rss_mb

# How a job can end at this worker, as in its log.
#
# method of Lease       outcome in settle.lua   result here
# succeed               succeeded               succeeded
# fail                  failed                  failed
# acknowledge_cancel    cancelled               cancelled
# release               released                handed back
# postpone              postponed               put off
# retry                 retry                   to be tried again
# (none had an effect)                          lost: another worker holds the job
# (none was answered)                           unsettled: Redis or the store was away; the job is reclaimed later
RESULTS = ("succeeded", "failed", "cancelled", "handed back", "put off", "to be tried again", "lost", "unsettled")
_SECONDS = (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000)
_FACTORS = (0.1, 0.3, 1, 3, 10, 30, 100, 300)
_SILENCE_SECONDS = 5.0


class WorkerMetrics:
    """One worker's metrics, in `registry`."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # else each counter has a second metric with the time of its creation
        self.registry = registry = CollectorRegistry()
        self._jobs = Counter("msas_jobs", "Jobs by their result at this worker", ["result"], registry=registry)
        self._stages = Histogram(
            "msas_job_stage_seconds",
            "Seconds of a separation in each stage",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._factor = Histogram(
            "msas_real_time_factor",
            "Seconds of song per second of all stages",
            ["model", "device"],
            buckets=_FACTORS,
            registry=registry,
        )
        self._attempts = Histogram(
            "msas_job_attempts", "The number of the attempt that a claim began", buckets=(1, 2, 3), registry=registry
        )
        self._lost = Counter("msas_leases_lost", "Leases that this worker lost while it ran a job", registry=registry)
        self._loads = Summary(
            "msas_model_load_seconds", "Seconds that models took to load", ["model"], registry=registry
        )
        self._busy = Gauge("msas_worker_busy", "1 while a job runs, else 0", registry=registry)
        peak = Gauge("msas_peak_rss_bytes", "Peak resident memory of this worker in bytes", registry=registry)
        peak.set_function(lambda: 1e6 * (peak_rss_mb() or 0))
        for result in RESULTS:  # from 0 on, else Prometheus misses the first of each
            self._jobs.labels(_label(result))
        for stage in set(Stage) - {Stage.LOADING}:  # which msas_model_load_seconds counts
            self._stages.labels(stage.value)

    @contextmanager
    def job(self, attempt: int) -> Iterator[None]:
        """Count a claimed job and the number of its attempt; it runs in the block."""
        self._attempts.observe(attempt)
        with self._busy.track_inprogress():
            yield

    def settled(self, result: str) -> None:
        """Count how a job ended here: one of RESULTS."""
        self._jobs.labels(_label(result)).inc()
        if result == "lost":
            self._lost.inc()

    def separated(self, report: Report) -> None:
        """Count the seconds of each stage and the speed of a separation."""
        for stage, seconds in (report.stage_seconds or {}).items():
            self._stages.labels(stage).observe(seconds)
        self._factor.labels(report.model, report.device).observe(report.real_time_factor or 0.0)

    def loaded(self, model: str, seconds: float) -> None:
        """Count a model that was loaded."""
        self._loads.labels(model).observe(seconds)


def _label(result: str) -> str:
    return result.replace(" ", "_")


class MetricsServer(ThreadingTCPServer):
    """Serves /metrics and /healthz on all IPv4 and IPv6 addresses, in threads."""

    allow_reuse_address, daemon_threads = True, True
    address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET

    def __init__(self, port: int, liveness: Liveness, registry: CollectorRegistry) -> None:
        """Raises OSError where the port is taken."""
        self.liveness, self.registry = liveness, registry
        super().__init__(("", port), _Pages)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def start(self) -> None:
        threading.Thread(target=self.serve_forever, name="monitor", daemon=True).start()


class _Pages(BaseHTTPRequestHandler):
    server: MetricsServer
    timeout = _SILENCE_SECONDS

    def do_GET(self) -> None:
        if self.path == "/metrics":
            self._answer(200, generate_latest(self.server.registry), CONTENT_TYPE_LATEST)
        elif self.path == "/healthz":
            alive = self.server.liveness.alive
            self._answer(200 if alive else 503, b"live\n" if alive else b"the heartbeat has stopped\n")
        else:
            self._answer(404, b"only /metrics and /healthz are here\n")

    def _answer(self, status: int, content: bytes, kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def version_string(self) -> str:
        return "MSaaS"

    def log_message(self, *_: object) -> None:
        """Probes come every few seconds: do not log them."""
