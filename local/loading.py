"""Shows on the terminal how far the download of a model is, while the service starts."""

from __future__ import annotations

import sys
import time

from msas.errors import QueueUnavailable
from msas.queue import ModelLoad, ModelLoads, Queue

_BAR, _LOOK_SECONDS = 30, 0.5
_STEP = 0.1  # of a download, after which a line is printed where no terminal is


class LoadingBar:
    """Draws a bar on a terminal, and prints a line now and then elsewhere."""

    def __init__(self, queue: Queue) -> None:
        self._loads, self._looked = ModelLoads(queue), 0.0
        self._next, self._is_drawn = 0.0, False
        self.bytes = 0  # of all downloads that were seen last

    def look(self) -> None:
        """Show what has changed, at most twice a second."""
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        try:
            loads = self._loads.read()
        except QueueUnavailable:
            return
        self.bytes = sum(load.bytes for load in loads)
        for load in loads:
            self._show(load)

    def close(self) -> None:
        """End the line of the bar."""
        if self._is_drawn:
            print(flush=True)

    def _show(self, load: ModelLoad) -> None:
        share = load.bytes / load.total_bytes if load.total_bytes else 0.0
        told = f"{load.bytes / 1e6:.1f} of {load.total_bytes / 1e6:.1f} MB"
        if sys.stdout.isatty():
            self._is_drawn = True
            done = round(_BAR * share)
            print(f"\r  {load.model}  [{'#' * done}{' ' * (_BAR - done)}] {told}   ", end="", flush=True)
        elif share >= self._next:
            self._next = share + _STEP
            print(f"  {load.model}: {told} downloaded", flush=True)
