"""Waits for a condition, looks whether a process is alive, and makes its environment."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

SLACK = 3.0 if "PYTEST_XDIST_WORKER" in os.environ else 1.0


def eventually(condition: Callable[[], object], seconds: float = 30) -> None:
    """Wait until `condition` holds; fail after `seconds`, or more where tests run beside us on the same cores."""
    until = time.monotonic() + seconds * SLACK
    while not condition():
        assert time.monotonic() < until, "it did not come true in time"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Say whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def environment_with(**variables: str) -> dict[str, str]:
    return {**os.environ, **variables}


def restore_interrupt() -> None:
    """Let Ctrl-C reach this process: as `preexec_fn`, where the tests themselves were started with SIGINT ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
