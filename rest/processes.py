"""Several REST processes that count as one: each keeps its counts in a file of its own, and all read all files."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from prometheus_client import values

from rest.counts import Counts


class Processes:
    """gunicorn's hooks around the forks of REST's processes.

    Each process has a number, and its successor has the same: it goes on counting where a dead one ended, so no
    count is lost, and there are never more files than processes.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="msas-counts-"))

    def pre_fork(self, master: Any, process: Any) -> None:
        """In the master: give the process that is to come a number that no living one has."""
        taken = {living.number for living in master.WORKERS.values()}
        process.number = next(number for number in range(len(taken) + 1) if number not in taken)

    def post_fork(self, _: Any, process: Any) -> None:
        """In the new process: count in its own file from now on. Nothing can have been counted before."""
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(self.folder)  # prometheus-client takes it in no other way
        values.ValueClass = values.MultiProcessValue(lambda: process.number)  # type: ignore[no-untyped-call]

    def on_exit(self, _: Any) -> None:
        """In the master, at the end."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def counts(self) -> Counts:
        """In a process: return its counts, which read as the sum of all."""
        return Counts(self.folder)
