"""Cuts a song into overlapping segments, and adds up their sources, without the whole song in memory.

The windows and their weighting are those of `demucs.apply.apply_model`. The weights that meet at a sample are
known beforehand, so every segment is added at its final share, and what no later segment can touch is given out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from worker.engines.types import Progress, Samples, SeparationParams


@dataclass(frozen=True)
class SegmentPlan:
    """One network's way over the song: where its segments start, in samples, and how they fade into each other.

    `weight` has one value for each sample of a segment. `gains` is this plan's share in each source; over all
    plans the shares of a source sum to 1. `window_length` says how many samples the network wants to see for a
    segment of so many. `run` maps windows of shape (batch, 2, n) to sources of shape (batch, sources, 2, n).
    """

    starts: range
    weight: Samples
    gains: Samples
    window_length: Callable[[int], int]
    run: Callable[[Samples], Samples]
    batch: int = 1


def overlap_add(
    blocks: Iterable[Samples], length: int, plans: Sequence[SegmentPlan], progress: Progress
) -> Iterator[tuple[Samples, Samples]]:
    """Separate a mixture of `length` samples that comes as `blocks` of shape (2, any).

    Yields, in order and without gaps, a stretch of the mixture, shape (2, n), and its sources, shape
    (sources, 2, n). Calls `progress` with the share that is done after every run of a network.
    Memory holds a few segments, however long the song is.
    """
    mixture = _MixtureWindow(blocks, length)
    sources = _Sum(len(plans[0].gains))
    longest = max(plan.window_length(len(plan.weight)) for plan in plans)
    next_segments = [0] * len(plans)
    total, ran = sum(len(plan.starts) for plan in plans), 0
    while ran < total:
        number = min(range(len(plans)), key=lambda n: _start(plans[n], next_segments[n], length))
        plan = plans[number]
        batch = _batch(plan, next_segments[number], length)
        windows = [mixture.window(*_around(plan, start, length)) for start in batch]
        for offset, output in enumerate(plan.run(np.stack(windows))):
            _add(sources, plan, next_segments[number] + offset, output, length)
        next_segments[number] += len(batch)
        ran += len(batch)
        progress(ran / total)
        ready = min(_start(plan, segment, length) for plan, segment in zip(plans, next_segments, strict=True))
        if ready > sources.begin:
            stretch = mixture.window(sources.begin, ready)
            yield stretch, sources.take(ready)
            mixture.forget(ready - longest)


def triangle(size: int) -> Samples:
    """Return apply_model's weights for a segment of `size` samples: rising to the middle, then falling."""
    rising, falling = np.arange(1, size // 2 + 1), np.arange(size - size // 2, 0, -1)
    weight = np.concatenate([rising, falling]).astype(np.float32)
    return np.asarray(weight / weight.max(), np.float32)


def starts(length: int, segment: int, params: SeparationParams, rate: int, number: int = 0) -> list[range]:
    """Return where the segments of a network start: one range of samples, or one for each shift.

    Shifted by up to half a second, as apply_model does, but by offsets that follow from the seed, `number`
    (which network of a bag it is) and the shift's own number.
    """
    stride = int((1 - params.overlap) * segment)
    most = rate // 2
    if not params.shifts:
        return [range(0, length, stride)]
    seeds = [f"{params.seed} {number} {shift}".encode() for shift in range(params.shifts)]
    offsets = [int.from_bytes(hashlib.sha256(seed).digest()) % (most + 1) for seed in seeds]
    return [range(offset - most, length, stride) for offset in offsets]


def _start(plan: SegmentPlan, segment: int, length: int) -> int:
    """Return where the plan's segment number `segment` starts in the song; its end once there are no more."""
    return plan.starts[segment] if segment < len(plan.starts) else length


def _batch(plan: SegmentPlan, segment: int, length: int) -> range:
    """Return the starts of the next segments that can run together: those with equally long windows."""
    starts = plan.starts[segment : segment + plan.batch]
    windows = [plan.window_length(min(len(plan.weight), length - start)) for start in starts]
    return starts[: sum(1 for _ in takewhile(lambda window: window == windows[0], windows))]


def _around(plan: SegmentPlan, start: int, length: int) -> tuple[int, int]:
    """Return begin and end of the window around the segment at `start`: centred, as apply_model pads."""
    size = min(len(plan.weight), length - start)
    window = plan.window_length(size)
    begin = start - (window - size) // 2
    return begin, begin + window


def _add(sources: _Sum, plan: SegmentPlan, segment: int, output: Samples, length: int) -> None:
    """Add the sources of one window, shape (sources, 2, n), at the segment's share of every sample."""
    start = plan.starts[segment]
    begin, end = max(0, start), min(start + len(plan.weight), length)
    if begin < end:
        inside = begin - _around(plan, start, length)[0]
        share = _share(plan, segment, length)[begin - start :]
        gains = plan.gains[:, None, None]
        sources.add(begin, output[..., inside : inside + end - begin] * (share * gains))


def _share(plan: SegmentPlan, segment: int, length: int) -> Samples:
    """Return the segment's weights over the sum of all weights that meet there."""
    start, size = plan.starts[segment], len(plan.weight)
    own = plan.weight[: length - start]
    total = own.copy()
    reach = -(-size // plan.starts.step) - 1
    for other in range(max(0, segment - reach), min(len(plan.starts), segment + reach + 1)):
        apart = plan.starts[other] - start
        if 0 < apart < len(own):
            total[apart:] += plan.weight[: len(own) - apart]
        elif -size < apart < 0:
            theirs = plan.weight[-apart : -apart + len(own)]
            total[: len(theirs)] += theirs
    return np.asarray(own / total, np.float32)


class _MixtureWindow:
    """The stretch of the mixture that is needed now, read from `blocks` as the windows move on."""

    def __init__(self, blocks: Iterable[Samples], length: int) -> None:
        self._blocks, self._length = iter(blocks), length
        self._begin, self._samples = 0, np.zeros((2, 0), np.float32)

    def window(self, begin: int, end: int) -> Samples:
        """Return the samples from `begin` to `end`; before the song and after it there is silence."""
        self._read(min(end, self._length))
        inside = self._samples[:, max(0, begin - self._begin) : max(0, end - self._begin)]
        before = min(max(0, -begin), end - begin)
        return np.pad(inside, ((0, 0), (before, end - begin - before - inside.shape[1])))

    def forget(self, before: int) -> None:
        """Drop the samples in front of `before`."""
        if before > self._begin:
            self._samples = self._samples[:, before - self._begin :].copy()
            self._begin = before

    def _read(self, end: int) -> None:
        parts, have = [self._samples], self._begin + self._samples.shape[1]
        while have < end:
            # A second decoding that ends early would be a surprise: silence then keeps the length.
            block = next(self._blocks, np.zeros((2, end - have), np.float32))[:, : self._length - have]
            parts.append(block)
            have += block.shape[1]
        if len(parts) > 1:
            self._samples = np.concatenate(parts, axis=1)


class _Sum:
    """The sources that are not finished yet: what was added so far, from the sample `begin` on.

    The buffer doubles when it is too short, so that a batch of many segments is not copied once for each of them.
    """

    def __init__(self, sources: int) -> None:
        self.begin, self._length, self._buffer = 0, 0, np.zeros((sources, 2, 0), np.float32)

    def add(self, begin: int, samples: NDArray[np.float32]) -> None:
        first, last = begin - self.begin, begin - self.begin + samples.shape[2]
        if last > (size := self._buffer.shape[2]):
            self._buffer = np.pad(self._buffer, ((0, 0), (0, 0), (0, max(last, 2 * size) - size)))
        self._buffer[..., first:last] += samples
        self._length = max(self._length, last)

    def take(self, end: int) -> Samples:
        """Give out what lies in front of `end`."""
        count = end - self.begin
        finished = np.zeros((*self._buffer.shape[:2], count), np.float32)
        have = min(count, self._length)
        finished[..., :have] = self._buffer[..., :have]
        rest = self._length - have
        self._buffer[..., :rest] = self._buffer[..., have : self._length]
        self._buffer[..., rest : self._length] = 0
        self.begin, self._length = end, rest
        return finished
