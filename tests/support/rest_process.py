"""What the processes of a REST service hold: their ids and temporary files."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from local import Service


def rest_pids(folder: Path) -> list[int]:
    """Return the processes whose output goes to the log of the REST in `folder`."""
    log = (folder / "rest.log").stat()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            output = (process / "fd/1").stat()
            if (output.st_dev, output.st_ino) == (log.st_dev, log.st_ino):
                found.append(int(process.name))
    return found


def peak_mb(folder: Path) -> float:
    """Return the most memory, in MB, that any living process of the REST in `folder` ever had resident."""
    peaks = [0]
    for pid in rest_pids(folder):
        with suppress(OSError):  # it has ended since
            peaks += map(int, re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text()))
    return max(peaks) / 1000


def open_temporary_files(folder: Path) -> list[str]:
    """Return the unnamed files in /tmp that a living process of the REST in `folder` has open."""
    found = []
    for pid in rest_pids(folder):
        with suppress(OSError):  # the process has ended since
            for link in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(FileNotFoundError):  # it was closed since
                    found.append(str(link.readlink()))
    return [name for name in found if name.startswith("/tmp/#")]


@contextmanager
def rest_stopped(service: Service) -> Iterator[None]:
    """Stop all processes of REST for the block: the system accepts connections, but nothing reads or answers."""
    group = service.children["rest"].process.pid
    os.killpg(group, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(group, signal.SIGCONT)
