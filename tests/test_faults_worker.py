"""Workers that die, hang, pause or are told to stop: real processes, real signals. Numbers are FAULTS.md's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local import Service
from tests.conftest import eventually
from tests.rig import BOUND, Rig


@pytest.fixture
def rig(service: Service, tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path / "rig", service.settings) as running:
        yield running


def test_1_a_job_whose_worker_is_killed_runs_again_within_lease_tick_and_backoff(rig: Rig) -> None:
    first = rig.worker()
    [song] = rig.accept("sleep-1")
    eventually(lambda: rig.running(song, "separating"))
    rig.ready(rig.worker())
    first.process.kill()
    eventually(lambda: rig.status(song).attempt == 2, BOUND)
    rig.finish([song])
    assert (rig.status(song).attempt, rig.separations(song)) == (2, 2)
