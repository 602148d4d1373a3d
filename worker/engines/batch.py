"""Windows on their way to the device and back: as many at once as its memory takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from msas.problem import ModelUnavailable
from worker.engines.engine import Samples

# Maps windows of shape (batch, 2, n) and the wanted sources' numbers to sources of shape (batch, wanted, 2, n).
Separate: TypeAlias = Callable[[Tensor, Sequence[int]], Tensor]

_MOST = 16
_SHARE = 0.7  # of the free memory that a batch may fill


class Batches:
    """Runs windows through a network; `size` of them at once, fewer from the moment that memory ran out."""

    def __init__(self, separate: Separate, device: torch.device, window: int) -> None:
        """On a GPU, try one silent window of `window` samples to learn how many fit."""
        self._separate, self._device = separate, device
        self.size = 1
        if device.type == "cuda":
            self.size = self._that_fit(window)

    def __call__(self, windows: Samples, wanted: Sequence[int]) -> Samples:
        """Return the sources of `windows`. Raises ModelUnavailable where not even one fits into memory."""
        done: list[Samples] = []
        while (begin := sum(map(len, done))) < len(windows):
            try:
                done.append(self._run(windows[begin : begin + self.size], wanted))
            except torch.OutOfMemoryError as error:
                if self.size == 1:
                    raise ModelUnavailable(
                        "The GPU has too little memory for one segment of this model; choose a smaller model."
                    ) from error
                self.size //= 2
                torch.cuda.empty_cache()
        return done[0] if len(done) == 1 else np.concatenate(done)

    def _run(self, windows: Samples, wanted: Sequence[int]) -> Samples:
        there = torch.from_numpy(np.ascontiguousarray(windows))
        if self._device.type == "cpu":
            return np.asarray(self._separate(there, wanted).numpy())
        found = self._separate(there.pin_memory().to(self._device, non_blocking=True), wanted)
        back = torch.empty(found.shape, pin_memory=True).copy_(found, non_blocking=True)
        torch.cuda.synchronize(self._device)
        return np.asarray(back.numpy())

    def _that_fit(self, window: int) -> int:
        torch.cuda.reset_peak_memory_stats(self._device)
        before = torch.cuda.memory_allocated(self._device)
        self._run(np.zeros((1, 2, window), np.float32), [0])
        each = max(1, torch.cuda.max_memory_allocated(self._device) - before)
        torch.cuda.empty_cache()
        free, _ = torch.cuda.mem_get_info(self._device)
        return max(1, min(_MOST, int(free * _SHARE / each)))
