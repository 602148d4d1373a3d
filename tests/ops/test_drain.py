"""A worker that is told to stop finishes a song only where the time left is enough for the rest of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local import Service
from local.child import Child
from tests.support.processes import eventually
from tests.support.rig import Rig, go_on, is_stopped


@pytest.fixture
def rig(service: Service, tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path / "rig", service.settings, lease_seconds=6.0) as rig:
        yield rig


def events(worker: Child, name: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in worker.log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == name]


def test_a_song_that_needs_more_time_than_is_left_is_handed_back_at_once(rig: Rig) -> None:
    worker = rig.worker(DRAIN_SECONDS="50")
    long, waiting = [*rig.accept("sleep-60"), *rig.accept()]
    eventually(lambda: rig.running(long, "separating") and rig.job(long).progress > 0.02)

    worker.process.terminate()
    exit_code = worker.process.wait(60)

    assert exit_code == 0
    assert rig.queue.list_all_jobs() == ([long, waiting], [], [])
    assert rig.job(long).attempt == 0
    [decision] = events(worker, "too little time left")
    assert decision["seconds_needed"] > decision["seconds_left"] > 0


def test_a_song_that_needs_less_time_than_is_left_is_finished(rig: Rig) -> None:
    worker = rig.worker(DRAIN_SECONDS="100")
    [song] = rig.accept("sleep-2")
    eventually(lambda: rig.running(song, "separating") and rig.job(song).progress > 0.02)

    worker.process.terminate()
    exit_code = worker.process.wait(100)

    assert exit_code == 0
    rig.check([song])
    assert rig.job(song).attempt == 1
    assert events(worker, "too little time left") == []


def test_a_song_of_which_nothing_is_known_goes_on(rig: Rig) -> None:
    worker = rig.worker(DRAIN_SECONDS="100", CRASH_AT="fetch_song:before:STOP")
    [song] = rig.accept()
    eventually(lambda: is_stopped(worker))

    worker.process.terminate()
    go_on(worker)
    exit_code = worker.process.wait(100)

    assert exit_code == 0
    rig.check([song])
    assert rig.job(song).attempt == 1
