"""Counts and logs every request; GET /metrics shows the counts and the queue's length to Prometheus."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

from flask import Flask, Response, g, request
from flask_openapi3.blueprint import APIBlueprint
from prometheus_client import generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from msas.errors import QueueUnavailable
from msas.logs import log
from msas.queue.stats import QueueStats
from rest.api.openapi import problem_responses
from rest.middleware.auth import caller
from rest.services import Services, services

blueprint = APIBlueprint("metrics", __name__)
_log = logging.getLogger(log.CALLS)
_PROBES = ("health.live", "health.ready", "metrics.show")  # asked every few seconds, for ever


class _Queue(Collector):
    """Asked for at each look: the queue is the same for all processes."""

    def __init__(self, found: Services) -> None:
        self._services = found

    def collect(self) -> Iterator[GaugeMetricFamily]:
        try:
            found = QueueStats(self._services.queue).count_jobs()
            stored = self._services.store_space.stored_bytes()
        except QueueUnavailable:
            found = None
        yield GaugeMetricFamily("msas_redis_up", "Whether Redis answers", int(found is not None))
        if found is None:
            return
        yield GaugeMetricFamily("msas_jobs_waiting", "Waiting jobs", found.waiting)
        yield GaugeMetricFamily("msas_jobs_running", "Running jobs", found.running)
        yield GaugeMetricFamily("msas_jobs_delayed", "Jobs that wait for their next attempt", found.delayed)
        yield GaugeMetricFamily("msas_workers", "Workers that hold a lease", found.workers)
        about = "Age in seconds of the oldest job that comes next; 0 where none waits"
        yield GaugeMetricFamily("msas_queue_oldest_seconds", about, found.oldest_seconds)
        about = "Waiting jobs for models that no worker with a lease has"
        yield GaugeMetricFamily("msas_jobs_unoffered", about, found.unoffered)
        about = "Bytes in the store; 0 before the first count"
        yield GaugeMetricFamily("msas_store_bytes", about, stored)
        about = "MAX_STORE_GB in bytes; 0 where it is not set"
        yield GaugeMetricFamily("msas_store_max_bytes", about, self._services.store_space.max_bytes)


def install(app: Flask) -> None:
    """Count every call of `app`, and log it."""
    found: Services = app.extensions["msas"]
    metrics = found.metrics
    metrics.registry.register(_Queue(found))

    @app.before_request
    def begin() -> None:
        g.since = time.monotonic()

    @app.after_request
    def count(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else "none"  # never the path: it has no end of values
        method = request.method if request.method in ("GET", "HEAD", "POST", "DELETE", "OPTIONS") else "other"
        seconds = time.monotonic() - g.get("since", time.monotonic())
        metrics.calls.labels(method, route, response.status_code).inc()
        metrics.seconds.labels(method, route).observe(seconds)
        if request.endpoint not in _PROBES:
            facts = {"method": method, "route": route, "status": response.status_code, "seconds": round(seconds, 4)}
            more = {"key": caller(), "code": g.get("problem")}
            log.event(_log, "call", **facts, **{name: value for name, value in more.items() if value})
        return response


@blueprint.get(
    "/metrics",
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **problem_responses(inside=False)},
)
def show() -> Response:
    """Counts and gauges in Prometheus' form."""
    return Response(generate_latest(services().metrics.registry), content_type=CONTENT_TYPE_LATEST)
