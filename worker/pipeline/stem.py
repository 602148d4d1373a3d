"""Encodes one stem while the store reads it; counts bytes, hashes, clipping."""

from __future__ import annotations

import hashlib
import time
import zlib
from collections.abc import Iterable, Iterator

import numpy as np

from msas.formats import Encoder
from worker.engines import Samples
from worker.pipeline.peaks import Peaks, samples_per_peak, samples_per_slice
from worker.watchdog import Watchdog


def align(mixture: Iterable[Samples], blocks: Iterable[Samples]) -> Iterator[tuple[Samples, Samples]]:
    """Yield stretches of `mixture` as long as each of `blocks`, with that block."""
    parts, waiting = iter(mixture), np.zeros((2, 0), np.float32)
    for block in blocks:
        size = block.shape[1]
        while waiting.shape[1] < size:
            waiting = np.concatenate([waiting, next(parts)], axis=1)
        yield waiting[:, :size], block
        waiting = waiting[:, size:]


class EncodedStem:
    """The file that `encoder` makes of `blocks`, encoded while it is read. Read once, front to back.

    `bytes`, `sha256`, `crc32`, `peak` (full scale: 1), `clipped` and `starts` are known once it was read to its end,
    and `peaks` then is whole; `cpu_seconds` is the CPU time of the encoding.
    """

    def __init__(self, encoder: Encoder, blocks: Iterable[Samples], length: int, rate: int, watchdog: Watchdog) -> None:
        """`blocks` are `length` samples, to be played at `rate` Hz."""
        self.bytes, self.peak, self.cpu_seconds = 0, 0.0, 0.0
        self.peaks = Peaks(length, samples_per_peak(length, rate))
        self._slice = samples_per_slice(encoder.frame, rate)
        self._encoder, self._watchdog, self._chunks = encoder, watchdog, self._encoded(blocks)
        self._ready = bytearray()
        self._digest, self.crc32 = hashlib.sha256(), 0

    @property
    def clipped(self) -> int:
        return self._encoder.clipped

    @property
    def starts(self) -> list[int]:
        return self._encoder.starts(self._slice)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes, fewer at the end."""
        while len(self._ready) < size and (chunk := next(self._chunks, None)) is not None:
            self._ready += chunk
            self._digest.update(chunk)
            self.crc32 = zlib.crc32(chunk, self.crc32)
        part = bytes(self._ready[:size])
        del self._ready[:size]
        self.bytes += len(part)
        return part

    def _encoded(self, blocks: Iterable[Samples]) -> Iterator[bytes]:
        yield self._encoder.begin()
        for block in blocks:
            since = time.thread_time()
            self.peak = max(self.peak, float(np.abs(block).max(initial=0.0)))
            self.peaks.add(block)
            with self._watchdog.watching():
                chunk = self._encoder.encode(block)
            self.cpu_seconds += time.thread_time() - since
            yield chunk
        with self._watchdog.watching():
            chunk = self._encoder.end()
        yield chunk
