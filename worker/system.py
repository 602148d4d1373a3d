"""The operating system under a worker: CPU cores, memory, thread priority, and the scratch folder."""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

_CGROUPS = Path("/sys/fs/cgroup")
# mallopt's names for its settings, from <malloc.h>.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_KEEP_BYTES = (1 << 31) - 1
_TOP_PAD_BYTES = 64 << 20
_PREFIX, _LOCK = "msas-worker-", "lock"  # of the scratch folder


def cores(cgroups: Path = _CGROUPS) -> int:
    """Return how many cores this process may use: those it is bound to, or its container's quota if that is less."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for quota in (_quota_of_version_2, _quota_of_version_1):
        with suppress(OSError, ValueError):  # not this version of cgroups, or no quota
            return max(1, min(bound, quota(cgroups)))
    return bound


def _quota_of_version_2(cgroups: Path) -> int:
    quota, period = (cgroups / "cpu.max").read_text().split()
    return int(quota) // int(period)  # ValueError: "max"


def _quota_of_version_1(cgroups: Path) -> int:
    quota, period = (int((cgroups / "cpu" / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
    if quota <= 0:
        raise ValueError("no quota")
    return quota // period


def tune_malloc() -> None:
    """Let glibc keep the memory that the networks free. By default each layer's buffers go back to the kernel, which
    must clear all their pages again. Elsewhere than on glibc, do nothing."""
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        return
    libc.mallopt(_MMAP_MAX, 0)
    libc.mallopt(_TRIM_THRESHOLD, _KEEP_BYTES)
    libc.mallopt(_TOP_PAD, _TOP_PAD_BYTES)


def lower_thread_priority() -> None:
    """Give the calling thread the lowest priority: it gets the CPU time that the networks leave."""
    if sys.platform == "linux":
        with suppress(OSError):  # it is a courtesy, nothing more
            os.setpriority(os.PRIO_PROCESS, 0, 19)


def peak_rss_mb() -> float | None:
    """Return the most memory, in megabytes, that this process ever held; None where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((round(int(line.split()[1]) * 1024 / 1e6, 1) for line in lines if line.startswith("VmHWM:")), None)


@contextmanager
def scratch_folder() -> Iterator[str]:
    """Make a folder in the system's temporary one (TMPDIR) and hold it until the block ends; remove those of the dead.

    The lock in it dies with its owner, whatever ends that, and holds across containers that share the volume.
    """
    _remove_those_of_the_dead()
    folder, lock = _new_folder()
    with lock:
        try:
            yield str(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _new_folder() -> tuple[Path, TextIO]:
    """Make a folder with a lock in it, and take the lock; return both."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        with suppress(FileNotFoundError):
            lock = (folder / _LOCK).open("w")
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                return folder, lock
            lock.close()
        # another worker, which started at the same moment, took us for dead


def _remove_those_of_the_dead() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError), (folder / _LOCK).open("r+") as lock:  # held, or just gone
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
