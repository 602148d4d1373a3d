"""Describes the machine: its processor and instruction sets, and the precision that the worker chooses on it."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

from msas.settings import Settings
from worker.engines.runtime import Runtime

# The instruction sets that networks run on, by the flag in /proc/cpuinfo, the fastest first.
INSTRUCTION_SETS = ("amx_bf16", "amx_int8", "avx512_bf16", "avx512_vnni", "avx512f", "avx_vnni", "avx2", "fma")

Description: TypeAlias = dict[str, str | int]


def describe(settings: Settings) -> Description:
    """Return everything about this machine that its figures depend on."""
    runtime = Runtime(settings)
    return {
        "kind": kind(settings),
        "processor": _cpuinfo("model name") or platform.processor() or platform.machine(),
        "instruction_sets": " ".join(_instruction_sets()) or "unknown",
        "cores": runtime.threads,
        "runs_on": runtime.name,
        "precision": runtime.precision,
        "torch": version("torch"),
        "openvino": version("openvino"),
        "demucs": version("demucs"),
        "measured_at": datetime.now(UTC).isoformat(timespec="minutes"),
    }


def kind(settings: Settings) -> str:
    """Name the kind of machine, after which the file of its results is named: `cuda`, `amx`, `avx512`, `avx2`, ..."""
    if settings.device == "cuda":
        return "cuda"
    sets = _instruction_sets()
    for name, flag in (("amx", "amx_bf16"), ("avx512", "avx512f"), ("avx2", "avx2")):
        if flag in sets:
            return name
    return platform.machine().lower() or "unknown"


def _instruction_sets() -> list[str]:
    flags = _cpuinfo("flags").split()
    return [name for name in INSTRUCTION_SETS if name in flags]


def _cpuinfo(field: str) -> str:
    """Return a field of the first processor in /proc/cpuinfo; empty where there is none."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(": ")[2] for line in lines if line.startswith(field)), "")
