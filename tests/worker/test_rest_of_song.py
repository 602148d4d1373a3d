"""The estimate of how many seconds the song in hand will still take."""

from __future__ import annotations

import pytest

from msas.job import Job, Stage
from msas.options import Options
from worker.drain import TimeLeft


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("worker.drain.time", clock)
    return clock


def job(minutes: float | None, model: str = "htdemucs") -> Job:
    return Job("0" * 56, Options(model), seconds=60 * minutes if minutes else None)


def separate(rest: TimeLeft, clock: Clock, song: Job, seconds: float) -> None:
    """Separate a song in so many seconds."""
    rest.begin(song)
    rest.note(Stage.SEPARATING, 0.02)
    clock.now += seconds
    rest.note(Stage.SEPARATING, 0.98)
    rest.note(Stage.ENCODING, 0.98)


def test_nothing_is_known_of_the_first_song_before_the_engine_makes_progress() -> None:
    rest = TimeLeft()
    rest.begin(job(4))

    for stage in (Stage.FETCHING, Stage.DECODING, Stage.SEPARATING):
        rest.note(stage, 0.02)
        assert rest.seconds() is None


def test_the_rest_follows_from_the_progress_so_far(clock: Clock) -> None:
    rest = TimeLeft()
    rest.begin(job(None))
    rest.note(Stage.SEPARATING, 0.0)

    clock.now += 30
    rest.note(Stage.SEPARATING, 0.25)
    assert rest.seconds() == 90

    clock.now += 10
    assert rest.seconds() == 80


def test_before_that_the_rest_follows_from_songs_of_the_same_model(clock: Clock) -> None:
    rest = TimeLeft()
    separate(rest, clock, job(3), seconds=30)

    rest.begin(job(6))
    assert rest.seconds() == pytest.approx(60, rel=0.01)
    rest.begin(job(6, "lite"))
    assert rest.seconds() is None
    rest.begin(job(None))
    assert rest.seconds() is None


@pytest.mark.parametrize("stage", [Stage.ENCODING, Stage.STORING])
def test_the_end_of_a_song_is_not_estimated(clock: Clock, stage: Stage) -> None:
    rest = TimeLeft()
    separate(rest, clock, job(3), seconds=30)

    rest.note(stage, 0.99)

    assert rest.seconds() is None
