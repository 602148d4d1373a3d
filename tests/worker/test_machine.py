"""What the worker reads of its machine: the cores that its container may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from worker.system import cores


@pytest.fixture(autouse=True)
def many_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(("text", "expected"), [("200000 100000\n", 2), ("50000 100000\n", 1), ("max 100000\n", 64)])
def test_the_quota_of_cgroups_version_2_limits_the_cores(tmp_path: Path, text: str, expected: int) -> None:
    write(tmp_path / "cpu.max", text)

    assert cores(tmp_path) == expected


@pytest.mark.parametrize(("quota", "expected"), [("200000\n", 2), ("50000\n", 1), ("-1\n", 64)])
def test_the_quota_of_cgroups_version_1_limits_the_cores(tmp_path: Path, quota: str, expected: int) -> None:
    write(tmp_path / "cpu" / "cpu.cfs_quota_us", quota)
    write(tmp_path / "cpu" / "cpu.cfs_period_us", "100000\n")

    assert cores(tmp_path) == expected


def test_without_cgroups_all_cores_are_used(tmp_path: Path) -> None:
    assert cores(tmp_path) == 64
