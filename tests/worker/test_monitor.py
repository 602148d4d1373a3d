"""A worker as Prometheus and Kubernetes see it."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import requests

from local import Service, servers
from local.child import Child
from msas.job import Status
from msas.queue import Consumer
from tests.support.processes import environment_with, eventually
from tests.support.rig import Rig, stopped
from worker import heartbeat
from worker.drain import Drain
from worker.heartbeat import Heartbeat, Liveness
from worker.metrics import MetricsServer, WorkerMetrics


@pytest.fixture
def rig(service: Service, tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path / "rig", service.settings) as running:
        yield running


class Watched:
    """A worker of the rig whose monitor we may look at."""

    def __init__(self, rig: Rig) -> None:
        self.port = servers.free_ports(1)[0]
        self.child: Child = rig.worker(METRICS_PORT=str(self.port))
        rig.ready(self.child)

    def get(self, path: str) -> requests.Response:
        return get(self.port, path)

    def value(self, name: str) -> float:
        """Return the value of one sample."""
        found = dict(line.rsplit(" ", 1) for line in self.get("/metrics").text.splitlines() if line[0] != "#")
        return float(found[name])

    def results(self) -> dict[str, int]:
        """Return how many jobs ended how, without those of which there were none."""
        pattern = r'^msas_jobs_total\{result="(\w+)"\} (\S+)$'
        found = re.findall(pattern, self.get("/metrics").text, re.MULTILINE)
        return {result: int(float(count)) for result, count in found if float(count)}


def get(port: int, path: str) -> requests.Response:
    return requests.get(f"http://127.0.0.1:{port}{path}", timeout=10)


def test_jobs_are_counted_by_how_they_ended_with_their_attempts_and_stages(rig: Rig) -> None:
    worker = Watched(rig)
    before = worker.results()
    assert before == {}
    songs = [*rig.accept("quick", 2), *rig.accept("raise-1")]
    noise = rig.accept_content(b"no song at all")
    eventually(lambda: rig.over([*songs, noise]))
    # The worker counts a song a moment after Redis knows its end.
    eventually(lambda: worker.results() == {"succeeded": 3, "to_be_tried_again": 1, "failed": 1})
    assert worker.value('msas_job_attempts_bucket{le="1.0"}') == 4
    assert worker.value("msas_job_attempts_count") == 5
    for stage in ("fetching", "decoding", "separating", "encoding", "storing"):
        assert worker.value(f'msas_job_stage_seconds_count{{stage="{stage}"}}') == 3
    assert worker.value('msas_real_time_factor_count{device="none",model="quick"}') == 2
    assert worker.value("msas_peak_rss_bytes") > 20e6
    assert worker.value("msas_leases_lost_total") == 0


def test_a_worker_is_busy_while_it_works_and_a_removed_song_counts_as_cancelled(rig: Rig) -> None:
    worker = Watched(rig)
    assert worker.value("msas_worker_busy") == 0
    (song,) = rig.accept("sleep-60")
    eventually(lambda: worker.value("msas_worker_busy") == 1)
    rig.removed(song)
    eventually(lambda: worker.value("msas_worker_busy") == 0)
    eventually(lambda: worker.results() == {"cancelled": 1})


def test_a_lost_lease_is_counted(rig: Rig) -> None:
    worker = Watched(rig)
    (song,) = rig.accept("sleep-1")
    eventually(lambda: rig.running(song))
    with stopped(worker.child):
        rig.worker()
        eventually(lambda: rig.job(song).status is Status.SUCCEEDED)
    eventually(lambda: worker.value("msas_leases_lost_total") == 1)
    eventually(lambda: worker.results() == {"lost": 1})


def test_healthz_is_200_while_redis_is_away(rig: Rig) -> None:
    worker = Watched(rig)
    assert worker.get("/healthz").status_code == 200
    rig.redis.process.kill()
    eventually(lambda: worker.child.log.read_text().count("heartbeat missed") > 1)
    assert worker.get("/healthz").status_code == 200
    assert worker.get("/metrics").status_code == 200


@pytest.fixture
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not 25 s until a heartbeat counts as stuck."""
    monkeypatch.setattr(heartbeat, "LONGEST_BEAT_SECONDS", 0.0)


class Consumers:
    """A consumer that does at each beat what a test wants."""

    def __init__(self, action: Callable[[], None]) -> None:
        self.renew = lambda _lease: action()


@pytest.mark.usefixtures("short_patience")
@pytest.mark.parametrize("how", ["hangs", "dies"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_healthz_is_503_once_the_heartbeat_hangs_or_dies(how: str) -> None:
    stuck, over = threading.Event(), threading.Event()

    def action() -> None:
        if stuck.is_set() and how == "hangs":
            over.wait(60)
        elif stuck.is_set():
            raise RuntimeError("as the test wants")

    liveness, port = Liveness(1.0), servers.free_ports(1)[0]
    monitor = MetricsServer(port, liveness, WorkerMetrics().registry)
    monitor.start()
    assert get(port, "/healthz").status_code == 200, "a worker that loads its model is live, too"
    consumer = cast(Consumer, cast(Any, Consumers(action)))
    with Heartbeat(consumer, 0.3, Drain(0), liveness):
        until = time.monotonic() + 2
        while time.monotonic() < until:
            assert get(port, "/healthz").status_code == 200
        stuck.set()
        eventually(lambda: get(port, "/healthz").status_code == 503, 10)
        over.set()
    monitor.shutdown()
    monitor.server_close()


def test_other_paths_are_404_and_the_server_header_is_ours(rig: Rig) -> None:
    worker = Watched(rig)
    answer = worker.get("/")
    assert answer.status_code == 404
    assert answer.headers["Server"] == "MSaaS"


def test_a_silent_connection_does_not_block_other_callers(rig: Rig) -> None:
    worker = Watched(rig)
    silent = [socket.create_connection(("127.0.0.1", worker.port)) for _ in range(20)]
    assert worker.get("/healthz").status_code == 200
    for each in silent:
        each.close()


def test_a_port_that_is_taken_ends_the_worker_with_one_sentence(service: Service) -> None:
    port = service.settings.rest_port
    done = subprocess.run(
        [sys.executable, "-m", "worker"],
        env=environment_with(**replace(service.settings, metrics_port=port).to_environment()),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert (
        done.stderr == f"METRICS_PORT {port} can not be had (Address already in use); choose another, or 0 for none.\n"
    )
