"""`python -m tests.support.fake_engine FOLDER`: a real worker whose engine does what the model's name says.

    quick    quarters of the mixture, at once         sleep-2   the same, after two seconds, with progress
    raise    an exception                             kill      SIGKILL to itself
    stall    no more progress, heartbeats go on       hang      the same in C code that holds Python's lock
    alloc    more memory than it may have             fill      more bytes on disk than a file may have
    marked   stems that tell which attempt made them; marked-1 takes a second for them, with progress
    kill-2   the same in the first two attempts at a song only; so with all of these but quick, sleep and marked

Each separation leaves a line in FOLDER/<songhash>. CRASH_AT=label:before|after[:STOP] sends the process a SIGKILL (or
SIGSTOP) just before or after its first call of that name: a script of the queue, blmove, or a method of the store.
CLOCK_OFF=seconds sets its clock wrong. `python -m tests.support.fake_engine rest` is REST with the same two variables.
GRUMBLE=1 has the store log a line whenever it stores a stem.
"""

from __future__ import annotations

import ctypes
import functools
import logging
import os
import resource
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from redis import Redis

import rest.__main__
from msas import log
from msas.models import Model
from msas.queue.connection import Scripts
from msas.settings import Settings
from msas.store import Store
from worker.engines import Engine, Order, Progress, Samples, Survey
from worker.service import serve, watched

STEMS = ("vocals", "drums", "bass", "other")
MODELS = (
    *("quick", "sleep-0.2", "sleep-1", "sleep-2", "sleep-60", "raise", "raise-1", "kill", "kill-1", "kill-2"),
    *("stall-1", "hang", "hang-1", "alloc-1", "fill-1", "marked", "marked-1"),
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
        self, blocks: Iterable[Samples], survey: Survey, order: Order, progress: Progress
    ) -> Iterator[tuple[Samples, Samples]]:
        # The order's seed is the songhash.
        with (self._folder / order.seed).open("a") as counted:
            counted.write(f"{os.getpid()}\n")
        attempt = len((self._folder / order.seed).read_text().splitlines())
        self._act(attempt, progress)
        share = 4 * attempt if self.name.startswith("marked") else 4
        done = 0
        for block in blocks:
            yield block, np.repeat(block[None] / share, len(order.stems), axis=0)
            progress((done := done + block.shape[1]) / max(1, survey.length))

    def _act(self, attempt: int, progress: Progress) -> None:
        word, _, number = self.name.partition("-")
        if word in ("sleep", "marked"):
            for step in range(steps := round(float(number or 0) / _STEP)):
                time.sleep(_STEP)
                progress(step / steps / 2)
        elif word != "quick" and attempt <= int(number or 1_000):
            getattr(self, f"_{word}")()

    def _raise(self) -> None:
        raise RuntimeError("as the model's name says")

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
    """What a worker offers: MODELS, each a stand-in."""

    def __init__(self, folder: Path) -> None:
        self.default = MODELS[0]
        self.offer = [Model(name, STEMS, "A stand-in.") for name in MODELS]
        self.about = {"device": "none", "precision": "float32", "cached": list(MODELS)}
        self._folder = folder

    def engine(self, name: str) -> Engine:
        return StandInEngine(name, self._folder)


def crash_at(label: str, moment: str, number: signal.Signals) -> None:
    """Let this process end, or stop, at its first call of `label`."""
    left, lock = [moment], threading.Lock()  # stems are stored side by side

    def reach(now: str) -> None:
        with lock:
            reached = now in left
            if reached:
                left.remove(now)
        if reached:
            os.kill(os.getpid(), number)

    def wrapped(call: Callable[..., Any], name_of: Callable[..., str]) -> Callable[..., Any]:
        @functools.wraps(call)
        def run(*args: Any, **kwargs: Any) -> Any:
            here = name_of(*args) == label
            if here:
                reach("before")
            answer = call(*args, **kwargs)
            if here and (label != "blmove" or answer):
                reach("after")
            return answer

        return run

    Scripts.run = wrapped(Scripts.run, lambda _, name, *__: name)  # type: ignore[method-assign]
    Redis.blmove = wrapped(Redis.blmove, lambda *_: "blmove")  # type: ignore[method-assign]
    for name in ("fetch_song", "put_stem", "put_report", "published", "remove_message", "remove_song"):
        setattr(Store, name, wrapped(getattr(Store, name), lambda *_, name=name: name))


def grumble() -> None:
    """Let the store log a line in each thread that stores a stem."""
    put = Store.put_stem

    def grumbling(self: Store, *args: Any) -> None:
        logging.getLogger("tests").warning("grumble")
        put(self, *args)

    Store.put_stem = grumbling  # type: ignore[method-assign, assignment]


def main(role: str) -> None:
    """Serve as a worker that counts its separations in the folder `role`; as REST where that is "rest"."""
    log.start("worker")
    if point := os.environ.get("CRASH_AT"):
        label, moment, *others = point.split(":")
        crash_at(label, moment, signal.SIGSTOP if others else signal.SIGKILL)
    if os.environ.get("GRUMBLE"):
        grumble()
    if off := float(os.environ.get("CLOCK_OFF", "0")):
        clock = time.time
        time.time = lambda: clock() + off
    if role == "rest":
        sys.exit(rest.__main__.main())
    settings = Settings.from_environment()
    serve(settings, StandIns(Path(role)), *watched(settings))


if __name__ == "__main__":
    main(sys.argv[1])
