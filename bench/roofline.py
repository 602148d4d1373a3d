"""How much of the machine's speed a separation uses: the network's arithmetic, and how fast the machine multiplies.

The roofline share of a separation is the network's floating-point operations, over the seconds that it took times the
operations that the machine does in a second when it only multiplies matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from msas.settings import Settings
from worker.engines import SeparationParams
from worker.engines.overlap_add import starts
from worker.engines.runtime import Runtime

SIZE = 2048  # rows and columns of the matrices
_ROUNDS = {"cpu": 16, "cuda": 4096}
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def count_flops(model: Any, seconds: float) -> float:
    """Return the floating-point operations of a Demucs model for a song of so many seconds."""
    segment = int(model.samplerate * model.segment)
    [segments] = starts(
        round(seconds * model.samplerate), segment, SeparationParams(tuple(model.sources)), model.samplerate
    )
    with FlopCounterMode(display=False) as counter, torch.no_grad(), _plain_attention():
        model.eval()(torch.zeros(1, 2, segment))
    return float(counter.get_total_flops() * len(segments))


def matmul_flops(device: str) -> float:
    """Return the floating-point operations of one call of what `matmul` returns."""
    return 2.0 * SIZE**3 * _ROUNDS[device]


def matmul(settings: Settings) -> Callable[[], None]:
    """Return a function that multiplies matrices on the worker's device, with its precision and threads."""
    runtime = Runtime(settings)
    dtype, rounds = _DTYPES[runtime.precision], _ROUNDS[runtime.device.type]
    left, right = (torch.randn(SIZE, SIZE, device=runtime.device).to(dtype) for _ in range(2))

    def run() -> None:
        for _ in range(rounds):
            torch.matmul(left, right)
        if runtime.device.type == "cuda":
            torch.cuda.synchronize()

    return run


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Let PyTorch compute attention as matrix products: the counter does not know its fused operations."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
