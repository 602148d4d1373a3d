"""Streams of stereo samples: resampling, and padding or trimming to a length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

Samples: TypeAlias = NDArray[np.float32]


def resampled(blocks: Iterable[Samples], rate: int, to_rate: int) -> Iterator[Samples]:
    """Yield the stereo `blocks`, shape (2, any), resampled to `to_rate` Hz."""
    if rate == to_rate:
        yield from blocks
        return
    resampler = AudioResampler(format="fltp", layout="stereo", rate=to_rate)
    for block in blocks:
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout="stereo")
        frame.sample_rate = rate
        yield from (_floats(part) for part in resampler.resample(frame))
    yield from (_floats(part) for part in resampler.resample(None))


def _floats(frame: AudioFrame) -> Samples:
    return frame.to_ndarray().astype(np.float32, copy=False)


def pad_or_trim(blocks: Iterable[Samples], length: int) -> Iterator[Samples]:
    """Yield `blocks` trimmed to `length` samples, or padded with silence."""
    left = length
    for block in blocks:
        if left > 0:
            yield block[:, :left]
            left -= min(left, block.shape[1])
    if left > 0:
        yield np.zeros((2, left), np.float32)
