"""The machine under the worker: its cores, its memory, and how the C library keeps it."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
# mallopt's names for its settings, from <malloc.h>.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_KEEP_BYTES = (1 << 31) - 1
_TOP_PAD_BYTES = 64 << 20


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


def keep_memory() -> None:
    """Let glibc keep what the networks free: their buffers come and go layer by layer, and by default each goes
    back to the kernel, which must then clear all its pages again. Elsewhere than on glibc, do nothing."""
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        return
    libc.mallopt(_MMAP_MAX, 0)
    libc.mallopt(_TRIM_THRESHOLD, _KEEP_BYTES)
    libc.mallopt(_TOP_PAD, _TOP_PAD_BYTES)


def be_background() -> None:
    """Give the calling thread the lowest priority: it shall live on what the networks leave over."""
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
