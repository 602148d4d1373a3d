"""Measures how long models take for a minute of song, and publishes it."""

from __future__ import annotations

from collections import deque
from statistics import median

from msas.cost import cost_minutes
from msas.job import Stage
from msas.options import Options
from msas.queue import ModelSpeeds
from msas.report import Report

_LEAST_SECONDS = 20.0  # of song: in shorter ones the last segment, which is not full, counts for too much
_RECENT = 9


def seconds_for_a_minute(report: Report) -> float | None:
    """Return the seconds of computing that a minute of song takes with the default options; None where the report
    does not tell, as of short songs."""
    seconds = (report.stage_seconds or {}).get(Stage.SEPARATING.value)
    if not seconds or report.song is None or report.song.seconds < _LEAST_SECONDS:
        return None
    return seconds / cost_minutes(report.options, report.song.seconds) * cost_minutes(Options(report.model), 60.0)


class Speeds:
    """Holds what the latest songs took with each model, and stores the median in Redis."""

    def __init__(self, stored: ModelSpeeds) -> None:
        self._stored = stored
        self._measured: dict[tuple[str, str], deque[float]] = {}
        self._changed = set[tuple[str, str]]()

    def measure(self, report: Report) -> None:
        """Take up what the report on a separation says."""
        seconds = seconds_for_a_minute(report)
        if seconds is not None and report.device:
            key = (report.model, report.device)
            self._measured.setdefault(key, deque(maxlen=_RECENT)).append(seconds)
            self._changed.add(key)

    def publish(self) -> None:
        """Store what changed. Raises QueueUnavailable."""
        for key in sorted(self._changed):
            self._stored.record(*key, median(self._measured[key]))
            self._changed.discard(key)
