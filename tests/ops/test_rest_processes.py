"""REST in several processes: what Prometheus is told is the sum of all, whichever of them answers."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from local import Service
from msas.settings import Settings, SettingsError
from tests.support.another_rest import another_rest
from tests.support.processes import alive, eventually

CALLS = 40


class Pair:
    """A REST of two processes."""

    def __init__(self, url: str, log: Path) -> None:
        self.url, self._log = url, log

    def pids(self) -> list[int]:
        """Return the processes that live, the master aside."""
        booted = re.findall(r"Booting worker with pid: (\d+)", self._log.read_text())
        return [int(pid) for pid in booted if alive(int(pid))]

    @contextmanager
    def without(self, pid: int) -> Iterator[None]:
        """Let the other process answer everything in the block."""
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def call(self, count: int) -> None:
        """Make so many calls, each of which is refused, on connections of their own."""

        def post(_: int) -> int:
            url, headers = f"{self.url}/apiv1/separate?shifts=none", {"Content-Type": "audio/mpeg"}
            return requests.post(url, data=b"no song", headers=headers, timeout=30).status_code

        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(post, range(count))) == {422}

    def counted(self) -> tuple[float, float, float]:
        """Return how many of these calls Prometheus is told of: by the counter, by the histogram, in bytes."""
        text = requests.get(f"{self.url}/metrics", timeout=10).text
        route = 'method="POST",route="/apiv1/separate"'
        names = (
            f'msas_http_requests_total{{{route},status="422"}}',
            f"msas_http_request_seconds_count{{{route}}}",
            "msas_received_bytes_total",
        )
        found = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        calls, timed, received = (float(found.get(name, 0)) for name in names)
        return calls, timed, received / len(b"no song")

    def told(self, pid: int) -> tuple[float, float, float]:
        """Return what the process `pid` tells."""
        (other,) = set(self.pids()) - {pid}
        with self.without(other):
            return self.counted()


@pytest.fixture
def pair(service: Service, tmp_path: Path) -> Iterator[Pair]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with another_rest(service, tmp_path, REST_PROCESSES="2", TMPDIR=str(scratch)) as url:
        pair = Pair(url, tmp_path / "rest.log")
        eventually(lambda: len(pair.pids()) == 2)
        yield pair
    assert not list(scratch.iterdir()), "the master leaves no folder of counts behind"


def test_each_process_reports_the_sum_of_all_also_after_one_was_killed(pair: Pair) -> None:
    first, second = pair.pids()
    for pid in (first, second):  # so that both have counted something
        with pair.without(pid):
            pair.call(CALLS)
    pair.call(CALLS)
    whole = 3 * CALLS
    assert pair.told(first) == pair.told(second) == (whole, whole, whole)

    os.kill(first, signal.SIGKILL)
    eventually(lambda: len(set(pair.pids()) - {first, second}) == 1)
    (successor,) = set(pair.pids()) - {first, second}
    eventually(lambda: pair.told(successor) == (whole, whole, whole))
    with pair.without(second):
        pair.call(CALLS)
    whole += CALLS
    assert pair.told(successor) == pair.told(second) == (whole, whole, whole)


def test_queue_metrics_are_reported_once_not_once_per_process(pair: Pair) -> None:
    text = requests.get(f"{pair.url}/metrics", timeout=10).text
    assert len(re.findall(r"^msas_workers ", text, re.MULTILINE)) == 1
    assert "msas_workers 1.0\n" in text


def test_every_line_that_the_processes_print_is_json(pair: Pair, tmp_path: Path) -> None:
    pair.call(1)
    for line in (tmp_path / "rest.log").read_text().splitlines():
        assert json.loads(line)["service"] == "rest"


def test_zero_rest_processes_are_refused() -> None:
    with pytest.raises(SettingsError, match="REST_PROCESSES"):
        Settings.from_environment({"REST_PROCESSES": "0"})
