"""Defines the Prometheus metrics that a REST process counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics


class RestMetrics:
    """The process's counts. `registry` shows them."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # or each count would have its birthday beside it
        self.registry = CollectorRegistry()
        self.calls = Counter(
            "msas_http_requests",
            "Answered calls by route and status",
            labelnames=("method", "route", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "msas_http_request_seconds",
            "Seconds until the answer began; long polls wait on purpose",
            labelnames=("method", "route"),
            registry=self.registry,
        )
        self.received = Counter("msas_received_bytes", "Received bytes of songs and forms", registry=self.registry)
