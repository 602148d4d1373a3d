"""A worker as seen from outside: `/metrics` for Prometheus, `/healthz` for whoever would start it again."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from worker.heartbeat import Pulse

_SILENCE_SECONDS = 5.0


class Monitor(ThreadingTCPServer):
    """Serves both pages on all addresses, IPv6 ones too where the system has any, in threads of its own."""

    allow_reuse_address, daemon_threads = True, True
    address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET

    def __init__(self, port: int, pulse: Pulse, registry: CollectorRegistry) -> None:
        """Raises OSError where the port can not be had."""
        self.pulse, self.registry = pulse, registry
        super().__init__(("", port), _Pages)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def start(self) -> None:
        threading.Thread(target=self.serve_forever, name="monitor", daemon=True).start()


class _Pages(BaseHTTPRequestHandler):
    server: Monitor
    timeout = _SILENCE_SECONDS

    def do_GET(self) -> None:
        if self.path == "/metrics":
            self._answer(200, generate_latest(self.server.registry), CONTENT_TYPE_LATEST)
        elif self.path == "/healthz":
            steady = self.server.pulse.steady
            self._answer(200 if steady else 503, b"live\n" if steady else b"the heartbeat stands still\n")
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
        """Probes come every few seconds, and say nothing."""
