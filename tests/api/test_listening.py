"""The addresses that REST and a worker's monitor listen on: IPv4 and IPv6."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import requests
from prometheus_client import CollectorRegistry

from local import Service, servers
from tests.support.another_rest import another_rest
from worker.heartbeat import Liveness
from worker.metrics import MetricsServer

pytestmark = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this system has no IPv6")


def test_rest_listens_on_ipv4_and_ipv6_when_its_host_is_the_ipv6_wildcard(service: Service, tmp_path: Path) -> None:
    with another_rest(service, tmp_path, REST_HOST="::") as url:
        port = url.rpartition(":")[2]

        for address in ("127.0.0.1", "[::1]"):
            assert requests.get(f"http://{address}:{port}/healthz", timeout=10).ok


def test_the_monitor_of_a_worker_listens_on_ipv4_and_ipv6() -> None:
    [port] = servers.free_ports(1)
    with MetricsServer(port, Liveness(30), CollectorRegistry()) as monitor:
        monitor.start()

        for address in ("127.0.0.1", "[::1]"):
            assert requests.get(f"http://{address}:{port}/healthz", timeout=10).ok
        monitor.shutdown()
