"""Many real workers for the price of one start: a stand-in that has imported everything forks them."""

from __future__ import annotations

import itertools
import json
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from local.child import Child
from tests.support.processes import eventually
from tests.support.rig import Rig

_numbers = itertools.count()


@dataclass(frozen=True)
class Member:
    """One worker of a crowd."""

    crowd: Crowd
    pid: int
    log: Path

    @property
    def exit_code(self) -> int | None:
        """How it ended, -9 after a SIGKILL; None as long as it lives."""
        return self.crowd.exit_codes().get(self.pid)

    @property
    def alive(self) -> bool:
        return self.exit_code is None

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    @property
    def stopped(self) -> bool:
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def said(self, words: str) -> bool:
        return words in self.log.read_text()


class Crowd:
    """As many workers as there are `variables`, each with these over the rig's own. They die with the rig."""

    def __init__(self, rig: Rig, variables: Sequence[Mapping[str, str]]) -> None:
        self._logs = rig.folder / "log" / f"crowd-{next(_numbers)}"
        self._logs.mkdir(parents=True)
        self._parent: Child = rig.worker(CROWD=json.dumps(variables), CROWD_LOGS=str(self._logs))

    @cached_property
    def members(self) -> list[Member]:
        eventually(self._lines, 20)
        pids = json.loads(self._lines()[0])
        return [Member(self, pid, self._logs / f"{number}.log") for number, pid in enumerate(pids)]

    def exit_codes(self) -> dict[int, int]:
        """Return how those ended that did, by their pids."""
        ends = [json.loads(line) for line in self._lines()[1:]]
        return {pid: os.waitstatus_to_exitcode(status) for pid, status in ends}

    def ready(self) -> None:
        """Wait until all of them listen."""
        eventually(lambda: all(each.log.exists() and each.said('"event": "ready"') for each in self.members), 20)

    def ended(self, seconds: float = 20) -> list[int]:
        """Wait until all have ended; return their exit codes, in order."""
        eventually(lambda: len(self.exit_codes()) == len(self.members), seconds)
        return [self.exit_codes()[each.pid] for each in self.members]

    def _lines(self) -> list[str]:
        return [line for line in self._parent.log.read_text().splitlines(keepends=True) if line.endswith("\n")]


def crowd_on(lanes: Sequence[Rig], points: Sequence[str] = (), **variables: str) -> Crowd:
    """Start one worker on each lane, with the same `variables`; each crashes at its own of the `points`."""
    own = [{"CRASH_AT": point} for point in points] or [{} for _ in lanes]
    each = [
        {"WORK_QUEUE": lane.settings.work_queue, **point, **variables} for lane, point in zip(lanes, own, strict=True)
    ]
    return Crowd(lanes[0], each)
