"""Batches of windows: a lack of GPU memory, and samples that are not finite."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from worker.engines.batch import _CALM, Batches, Separate
from worker.engines.types import NotFinite

CPU = torch.device("cpu")


def windows(count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.arange(count * 2 * 5, dtype=np.float32).reshape(count, 2, 5)


def multiply(windows: Tensor, wanted: Sequence[int]) -> Tensor:
    """Return each window times 1 for the source 0, times 2 for the source 1, and so on."""
    return torch.stack([windows * (number + 1) for number in wanted], dim=1)


def batches_of(size: int, separate: Separate, exact: Separate | None = None) -> Batches:
    """Return Batches as on a GPU where `size` windows fit."""
    batches = Batches(separate, CPU, 5, 4, exact)
    batches.size = batches._at_once = size
    return batches


class Gpu:
    """Separates up to `fits` windows at once, and notes how many it was given."""

    def __init__(self, fits: int) -> None:
        self.fits, self.tried = fits, list[int]()

    def __call__(self, windows: Tensor, wanted: Sequence[int]) -> Tensor:
        self.tried.append(len(windows))
        if len(windows) > self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return multiply(windows, wanted)


def test_running_out_of_gpu_memory_halves_the_windows_that_run_at_once() -> None:
    gpu = Gpu(fits=2)
    batches = batches_of(8, gpu)

    found = batches(windows(7), [0, 2])

    assert np.array_equal(found, np.stack([windows(7), windows(7) * 3], axis=1))
    assert gpu.tried == [7, 4, 2, 2, 2, 1]
    assert batches.size == 8, "the segments of a song are grouped as before"


def test_more_windows_run_at_once_again_when_there_is_gpu_memory_again() -> None:
    gpu = Gpu(fits=2)
    batches = batches_of(8, gpu)
    batches(windows(8), [0])
    gpu.fits = 8

    for _ in range(_CALM):
        batches(windows(8), [0])
    gpu.tried.clear()
    batches(windows(8), [0])

    assert gpu.tried == [8]


def test_a_gpu_without_memory_for_one_window_is_an_error_that_may_pass() -> None:
    gpu = Gpu(fits=0)
    batches = batches_of(8, gpu)

    with pytest.raises(torch.OutOfMemoryError):
        batches(windows(1), [0])
    gpu.fits = 8

    assert np.array_equal(batches(windows(1), [0])[:, 0], windows(1))


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_windows_that_overflow_are_computed_again_in_float32(wrong: float) -> None:
    exact = Gpu(fits=2)

    def overflow_at_30(windows: Tensor, wanted: Sequence[int]) -> Tensor:
        return multiply(torch.where(windows >= 30, wrong, windows), wanted)

    found = batches_of(2, overflow_at_30, exact)(windows(6), [0, 1])

    assert np.array_equal(found, np.stack([windows(6), windows(6) * 2], axis=1))
    assert exact.tried == [2, 2], "those before 30 were fine"


@pytest.mark.parametrize("has_exact", [False, True])
def test_windows_that_overflow_in_float32_are_an_error(has_exact: bool) -> None:
    def overflow(windows: Tensor, wanted: Sequence[int]) -> Tensor:
        return multiply(windows, wanted) * float("inf")

    with pytest.raises(NotFinite):
        batches_of(2, overflow, overflow if has_exact else None)(windows(2), [0])
