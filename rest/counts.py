"""What is counted, for Prometheus."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.multiprocess import MultiProcessCollector


class Counts:
    """This process' counts. `registry` shows them; with a `folder` in which each process counts, their sum."""

    def __init__(self, folder: Path | None = None) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # or each count would have its birthday beside it
        self.registry = CollectorRegistry()
        own = None if folder else self.registry
        if folder:
            MultiProcessCollector(self.registry, str(folder))  # type: ignore[no-untyped-call]
        self.calls = Counter(
            "msas_http_requests",
            "Calls answered, by route and status",
            labelnames=("method", "route", "status"),
            registry=own,
        )
        self.seconds = Histogram(
            "msas_http_request_seconds",
            "How long calls took until their answer began, in seconds; long polls wait on purpose",
            labelnames=("method", "route"),
            registry=own,
        )
        self.received = Counter("msas_received_bytes", "Bytes of songs and forms that came in", registry=own)
