"""How a worker measures what a minute of song takes, and where it stores that."""

from __future__ import annotations

from typing import Any

import pytest

from msas.options import Options
from msas.queue import ModelSpeeds, Queue
from msas.report import Report, SongFacts
from worker.speeds import Speeds, seconds_for_a_minute

CPU = "CPU, 2 threads"


def report(separating: float, seconds: float = 60.0, device: str | None = CPU, **options: Any) -> Report:
    """Return a report on a song of `seconds`, whose networks ran for `separating` seconds."""
    chosen = Options(**{"model": "lite", **options})
    return Report(
        songhash="a" * 56,
        name="",
        options=chosen,
        model=chosen.model,
        device=device,
        song=SongFacts(seconds),
        stage_seconds={"fetching": 9.0, "separating": separating},
        stems=(),
    )


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        (report(5.0), 5.0),
        (report(5.0, seconds=120.0), 2.5),
        (report(10.0, shifts=2), 5.0),
        (report(7.5, overlap=0.5), 5.0),
        (report(5.0, model="htdemucs_ft", stems=("vocals",)), 20.0),
        (report(5.0, seconds=19.0), None),
        (report(0.0), None),
    ],
)
def test_seconds_for_a_minute_are_those_of_the_default_options(measured: Report, expected: float | None) -> None:
    found = seconds_for_a_minute(measured)

    assert (found and round(found, 1)) == expected


def test_the_median_of_the_latest_songs_is_stored_for_the_device_that_they_ran_on(queue: Queue) -> None:
    stored = ModelSpeeds(queue)
    speeds = Speeds(stored)
    for seconds in (90.0, *[5.0, 4.0, 6.0] * 3):
        speeds.measure(report(seconds))
    speeds.measure(report(1.0, device="NVIDIA H200"))
    speeds.measure(report(1.0, device=None))

    speeds.publish()

    assert stored.read(CPU) == {"lite": 5.0}
    assert stored.read("NVIDIA H200") == {"lite": 1.0}
    assert stored.read("another") == {}


def test_a_speed_is_stored_once_until_another_song_was_measured(queue: Queue) -> None:
    stored = ModelSpeeds(queue)
    speeds = Speeds(stored)
    speeds.measure(report(5.0))
    speeds.publish()
    stored.record("lite", CPU, 7.0)

    speeds.publish()

    assert stored.read(CPU) == {"lite": 7.0}
