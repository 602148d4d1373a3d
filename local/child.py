"""A server process that ends when we end, whatever ends us."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

_PR_SET_PDEATHSIG = 1


class Child:
    """A process in a group of its own, so that Ctrl-C reaches it through us alone and in our order.

    Its output goes to the file `log`. Start it from the main thread: Linux ties "ends when we end" to that.
    """

    process: subprocess.Popen[bytes]

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.name, self.log = name, log
        # SeaweedFS takes 10 s to end when asked, and loses nothing when it is not.
        self._end_with_parent = partial(_end_with_parent, signal.SIGKILL if name == "store" else signal.SIGTERM)
        self._command, self._environment = list(command), dict(environment)
        self._started = False
        self.start()

    def start(self) -> None:
        """Start the process, or start it again once it has ended or was killed."""
        if self._started:
            self.process.wait()
        self._started = True
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.started = time.monotonic()
        with self.log.open("ab") as output:
            self._begin = output.tell()
            self.process = subprocess.Popen(
                self._command,
                env=self._environment,
                cwd=Path(__file__).parent.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
                preexec_fn=self._end_with_parent if sys.platform == "linux" else None,
            )

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def stop(self, grace_seconds: float) -> None:
        """Ask the process to end, and end it after `grace_seconds`."""
        if self.alive:
            self.process.terminate()
        try:
            self.process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        with suppress(ProcessLookupError):  # what it started in turn, such as a pip that fetches weights
            os.killpg(self.process.pid, signal.SIGKILL)

    def last_words(self, lines: int = 8) -> str:
        """Return the end of what the process printed since it started; of our own servers, only the reason."""
        said = self.log.read_bytes()[self._begin :].decode(errors="replace").strip().splitlines()
        for line in reversed(said):
            try:
                content = json.loads(line)
                if "why" in content:
                    return str(content["why"])
            except (ValueError, TypeError):
                continue
        return "\n".join(said[-lines:])


def _end_with_parent(number: signal.Signals) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
