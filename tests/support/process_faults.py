"""Faults that a process of ours gets by its environment.

CRASH_AT=label:before|after[:STOP] sends the process a SIGKILL (or SIGSTOP) just before or after its first call of that
name: a script of the queue, blmove, or a method of the store. CLOCK_OFF=seconds sets its clock wrong. GRUMBLE=1 has the
store log a line whenever it stores a stem.
"""

from __future__ import annotations

import functools
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from redis import Redis

from msas.queue.connection import Scripts
from msas.store import Store


def install() -> None:
    """Prepare the faults that the environment names."""
    if point := os.environ.get("CRASH_AT"):
        label, moment, *others = point.split(":")
        crash_at(label, moment, signal.SIGSTOP if others else signal.SIGKILL)
    if os.environ.get("GRUMBLE"):
        grumble()
    if off := float(os.environ.get("CLOCK_OFF", "0")):
        clock = time.time
        time.time = lambda: clock() + off


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
            if here and (label not in ("take_next", "blmove") or answer):
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
