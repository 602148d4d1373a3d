"""Engines at work on waves, without the service around them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from tests.support.audio import Wave
from worker.engines import Engine, MixtureStats, SeparationParams

_BLOCK = 5000  # samples


def survey(mixture: Wave) -> MixtureStats:
    """Return the statistics of `mixture`, shape (2, n), that the decoder would find."""
    mono = mixture.astype(np.float64).mean(0)
    return MixtureStats(len(mono), float(mono.mean()), float(mono.std(ddof=min(1, len(mono) - 1))))


def in_blocks(mixture: Wave) -> Iterator[Wave]:
    """Yield `mixture` the way a decoder does: piece by piece."""
    for begin in range(0, mixture.shape[1], _BLOCK):
        yield mixture[:, begin : begin + _BLOCK]


def separated(
    engine: Engine,
    mixture: Wave,
    stems: tuple[str, ...] = (),
    overlap: float = 0.25,
    shifts: int = 0,
    progress: Callable[[float], None] = lambda _: None,
) -> dict[str, Wave]:
    """Separate `mixture` as a stream; return its stems, put together again."""
    order = SeparationParams(stems or engine.stems, overlap, shifts, seed="a songhash")
    parts = list(engine.separate(in_blocks(mixture), survey(mixture), order, progress))
    heard = np.concatenate([heard for heard, _ in parts], axis=1)
    assert np.abs(heard - mixture).max() < 1e-5 * max(1.0, np.abs(mixture).max()), "the mixture passes through"
    return dict(zip(order.stems, np.concatenate([sources for _, sources in parts], axis=2), strict=True))
