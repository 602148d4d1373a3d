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
    """Return how many cores this process may use: those it is bound to, or its container's quota if less."""
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
    """Let glibc keep the memory that the networks free; by default the kernel takes each layer's buffers back, and
    clears their pages. Does nothing without glibc."""
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        return
    libc.mallopt(_MMAP_MAX, 0)
    libc.mallopt(_TRIM_THRESHOLD, _KEEP_BYTES)
    libc.mallopt(_TOP_PAD, _TOP_PAD_BYTES)


def lower_thread_priority() -> None:
    """Give the calling thread the lowest priority, below the networks."""
    if sys.platform == "linux":
        with suppress(OSError):  # not allowed: the thread runs at its old priority
            os.setpriority(os.PRIO_PROCESS, 0, 19)


def peak_rss_mb() -> float | None:
    """Return the peak memory of this process in megabytes; None where the system does not tell it."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((round(int(line.split()[1]) * 1024 / 1e6, 1) for line in lines if line.startswith("VmHWM:")), None)


@contextmanager
def scratch_folder() -> Iterator[str]:
    """Make a folder in TMPDIR for the block, and delete the folders that killed workers left there.

    Each folder holds a file lock, which ends with its process, also between containers that share the volume.
    """
    _remove_abandoned_folders()
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
        # another worker deleted the folder before it was locked


def _remove_abandoned_folders() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError), (folder / _LOCK).open("r+") as lock:  # locked, or deleted meanwhile
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
