"""A worker's own folder for songs in work; what dead workers left there is removed by the next one."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

_PREFIX, _LOCK = "msas-worker-", "lock"


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
