"""The process that probes songs: what it may allocate."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_ALLOCATE = """
import sys
from rest.uploads import probe_child as probing
probing.limit_memory(probing.MEMORY_BYTES)
bytearray(int(sys.argv[1]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the process has no such limit")
@pytest.mark.parametrize(("size", "error"), [(64 << 20, ""), (1 << 30, "MemoryError")])
def test_a_process_that_probes_songs_can_not_allocate_a_gigabyte(size: int, error: str) -> None:
    command = [sys.executable, "-c", _ALLOCATE, str(size)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60)

    assert done.stderr.strip().rpartition("\n")[2] == error
