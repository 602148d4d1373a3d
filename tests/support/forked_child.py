"""Real workers, and processes that reconcile, forked from one that has imported their code.

Imports take most of the time of a start.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import cast

from local.child import Child

_PR_SET_PDEATHSIG = 1
# A spawned process takes seconds to import PyTorch.
FORKING = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload(["tests.support.fake_engine", "tests.support.keeper", "worker.engines.runtime"])


class ForkedProcess:
    """What a test needs of `subprocess.Popen`, for a process of the fork server."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process
        assert process.pid
        self.pid: int = process.pid

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def poll(self) -> int | None:
        """Return the exit code, -9 after a SIGKILL; None while the process lives."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired("process", timeout or 0)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class ForkedChild(Child):
    """A process that ends when the tests end. Its name says what it is: `worker`, one of `tests.support.fake_engine`,
    which counts in `folder`; or `keeper`, one of `tests.support.keeper`."""

    def __init__(self, name: str, folder: str, environment: Mapping[str, str], log: Path) -> None:
        self.name, self.log = name, log
        self._folder, self._environment = folder, dict(environment)
        self.start()

    def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.touch()
        self._begin = self.log.stat().st_size
        process = FORKING.Process(target=_run, args=(self.name, self._folder, self._environment, self.log))
        process.start()
        self.process = cast("subprocess.Popen[bytes]", ForkedProcess(process))


def _run(name: str, folder: str, environment: dict[str, str], log: Path) -> None:
    """Become that process with this environment, whose output goes to `log`."""
    from tests.support import fake_engine, keeper

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setpgid(0, 0)
    os.dup2(os.open(log, os.O_WRONLY | os.O_APPEND), 1)
    os.dup2(1, 2)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # chosen anew, from this environment
    if name == "keeper":
        keeper.main()
    else:
        fake_engine.main(folder)
