"""Runs segments through a network in batches as large as the GPU's memory allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from worker.engines.types import NotFinite, Samples

# Maps windows of shape (batch, 2, n) and the wanted sources' numbers to sources of shape (batch, wanted, 2, n).
Separate: TypeAlias = Callable[[Tensor, Sequence[int]], Tensor]

_MOST = 16
_SHARE = 0.7  # of the free memory that a batch may fill
_CALM = 32  # runs that had enough memory, after which twice as many windows are tried


class Batches:
    """Runs windows through a network, `size` of them at once; fewer for some time after memory ran out."""

    def __init__(
        self, separate: Separate, device: torch.device, window: int, sources: int, exact: Separate | None = None
    ) -> None:
        """On a GPU, run one silent window of `window` samples, for all `sources`, to estimate how many fit.

        `exact` does what `separate` does in float32, for windows in which a lower precision overflowed.
        """
        self._separate, self._exact, self._device = separate, exact, device
        self.size = 1
        if device.type == "cuda":
            self.size = self._that_fit(window, sources)
        self._at_once, self._calm = self.size, 0

    def __call__(self, windows: Samples, wanted: Sequence[int]) -> Samples:
        """Return the sources of `windows`. Raises NotFinite; torch.OutOfMemoryError where not even one window fits
        now."""
        done: list[Samples] = []
        while (begin := sum(map(len, done))) < len(windows):
            try:
                done.append(self._run(windows[begin : begin + self._at_once], wanted))
                self._grow()
            except torch.OutOfMemoryError:
                torch.cuda.empty_cache()
                if self._at_once == 1:
                    raise
                self._at_once, self._calm = self._at_once // 2, 0
        return done[0] if len(done) == 1 else np.concatenate(done)

    def _grow(self) -> None:
        self._calm += 1
        if self._calm >= _CALM:
            self._at_once, self._calm = min(self.size, 2 * self._at_once), 0

    def _run(self, windows: Samples, wanted: Sequence[int]) -> Samples:
        there = torch.from_numpy(np.ascontiguousarray(windows))
        if self._device.type == "cpu":
            return np.asarray(self._finite(there, wanted).numpy())
        found = self._finite(there.pin_memory().to(self._device, non_blocking=True), wanted)
        back = torch.empty(found.shape, pin_memory=True).copy_(found, non_blocking=True)
        torch.cuda.synchronize(self._device)
        return np.asarray(back.numpy())

    def _finite(self, windows: Tensor, wanted: Sequence[int]) -> Tensor:
        for separate in filter(None, (self._separate, self._exact)):
            found = separate(windows, wanted)
            if torch.isfinite(found).all():
                return found
        raise NotFinite("a network")

    def _that_fit(self, window: int, sources: int) -> int:
        torch.cuda.reset_peak_memory_stats(self._device)
        before = torch.cuda.memory_allocated(self._device)
        self._run(np.zeros((1, 2, window), np.float32), range(sources))
        each = max(1, torch.cuda.max_memory_allocated(self._device) - before)
        torch.cuda.empty_cache()
        free, _ = torch.cuda.mem_get_info(self._device)
        return max(1, min(_MOST, int(free * _SHARE / each)))
