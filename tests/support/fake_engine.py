"""`python -m tests.support.fake_engine FOLDER`: a real worker whose engine does what the model's name says.

    quick    quarters of the mixture, at once         sleep-2   the same, after two seconds, with progress
    raise    an exception                             kill      SIGKILL to itself
    stall    no more progress, heartbeats go on       hang      the same in C code that holds Python's lock
    alloc    more memory than it may have             fill      more bytes on disk than a file may have
    cuda     an error that the GPU does not survive   nan       stems that are no numbers
    marked   stems that tell which attempt made them; marked-1 takes a second for them, with progress
    kill-2   the same in the first two attempts at a song only; so with all of these but quick, sleep and marked

Each separation leaves a line in FOLDER/<songhash>. HAS="quick sleep-1" lets a worker have these models alone;
SICK=raise does to each song what that model does. tests/support/process_faults.py has further variables.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from msas.logs import log
from msas.models import Model
from msas.settings import Settings
from tests.support import process_faults
from worker.engines import Engine, MixtureStats, Progress, Samples, SeparationParams
from worker.serve import serve, watched

STEMS = ("vocals", "drums", "bass", "other")
MODELS = (
    *("quick", "sleep-0.2", "sleep-1", "sleep-2", "sleep-60", "raise", "raise-1", "kill", "kill-1", "kill-2"),
    *("stall-1", "hang", "hang-1", "alloc-1", "fill-1", "marked", "marked-1"),
    *("cuda-1", "nan-1"),
)
_STEP = 0.05  # seconds between two signs of progress


class StandInEngine:
    """Does to a song what its name says."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self._folder = name, folder
        self.rate = 44100
        self.stems: tuple[str, ...] = STEMS
        self.weights, self.device, self.precision = "none", "none", "float32"

    def separate(
        self, blocks: Iterable[Samples], stats: MixtureStats, params: SeparationParams, progress: Progress
    ) -> Iterator[tuple[Samples, Samples]]:
        # The seed is the songhash.
        with (self._folder / params.seed).open("a") as counted:
            counted.write(f"{os.getpid()}\n")
        attempt = len((self._folder / params.seed).read_text().splitlines())
        self._fault = 0.0
        self._act(attempt, progress)
        share = 4 * attempt if self.name.startswith("marked") else 4
        done = 0
        for block in blocks:
            yield block, np.repeat(block[None] / share + self._fault, len(params.stems), axis=0)
            progress((done := done + block.shape[1]) / max(1, stats.length))

    def _act(self, attempt: int, progress: Progress) -> None:
        word, _, number = (os.environ.get("SICK") or self.name).partition("-")
        if word in ("sleep", "marked"):
            for step in range(steps := round(float(number or 0) / _STEP)):
                time.sleep(_STEP)
                progress(step / steps / 2)
        elif word != "quick" and attempt <= int(number or 1_000):
            getattr(self, f"_{word}")()

    def _raise(self) -> None:
        raise RuntimeError("as the model's name says")

    def _cuda(self) -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")

    def _nan(self) -> None:
        self._fault = np.nan

    def _kill(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def _stall(self) -> None:
        time.sleep(3600)

    def _hang(self) -> None:
        ctypes.PyDLL(None).sleep(3600)

    def _alloc(self) -> None:
        with _limited(resource.RLIMIT_AS, 2 << 30):
            np.ones(8 << 30, np.uint8)

    def _fill(self) -> None:
        with _limited(resource.RLIMIT_FSIZE, 1 << 20), tempfile.TemporaryFile() as file:
            file.write(bytes(2 << 20))


@contextmanager
def _limited(what: int, limit: int) -> Iterator[None]:
    before = resource.getrlimit(what)
    resource.setrlimit(what, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(what, before)


class StandIns:
    """What a worker offers: MODELS or those in HAS, each a stand-in."""

    def __init__(self, folder: Path) -> None:
        names = os.environ.get("HAS", "").split() or list(MODELS)
        self.default = names[0]
        self.offer = [Model(name, STEMS, "A stand-in.") for name in names]
        self.about = {"device": "none", "precision": "float32", "cached": names}
        self._folder = folder

    def engine(self, name: str, _loading: Callable[[], None] = lambda: None) -> Engine:
        return StandInEngine(name, self._folder)

    def refresh(self) -> None:
        """Nothing changes."""


def main(folder: str) -> None:
    """Serve as a worker that counts its separations in `folder`."""
    log.start("worker")
    process_faults.install()
    settings = Settings.from_environment()
    sys.exit(serve(settings, StandIns(Path(folder)), *watched(settings)))
