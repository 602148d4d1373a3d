"""Changes the tempo and the pitch of sound in blocks, by FFmpeg's filters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

import numpy as np
from av import AudioFrame
from av.error import BlockingIOError as NothingYet
from av.error import EOFError as Ended
from av.filter import Graph

from msas.formats import Samples

_SLOWEST = 0.5  # of one `atempo` filter


class BlockReader:
    """Reads samples from blocks of any size in blocks of any other size; drops the first `skip` samples."""

    def __init__(self, blocks: Iterator[Samples], skip: int = 0) -> None:
        self._blocks, self._skip = blocks, skip
        self._waiting = np.zeros((2, 0), np.float32)

    def read(self, count: int) -> Samples:
        """Return the next `count` samples, shape (2, count); silence after the last one."""
        while self._waiting.shape[1] < self._skip + count:
            block = next(self._blocks, None)
            if block is None:
                missing = self._skip + count - self._waiting.shape[1]
                block = np.zeros((2, missing), np.float32)
            self._waiting = np.concatenate([self._waiting, block], axis=1)
            dropped = min(self._skip, self._waiting.shape[1])
            self._waiting, self._skip = self._waiting[:, dropped:], self._skip - dropped
        found, self._waiting = self._waiting[:, :count], self._waiting[:, count:]
        return found


def stretched(blocks: Iterable[Samples], rate: int, tempo: float, semitones: int) -> Iterator[Samples]:
    """Yield the stereo `blocks` at `tempo` times their tempo, `semitones` higher. At most a second is held."""
    graph = _open_graph(rate, tempo, 2 ** (semitones / 12))
    position = 0
    for block in blocks:
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout="stereo")
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), position
        position += block.shape[1]
        graph.push(frame)
        yield from _pull(graph)
    graph.push(None)
    yield from _pull(graph)


def _open_graph(rate: int, tempo: float, pitch: float) -> Graph:
    """Open the filters: play faster for the pitch, then change the tempo without it."""
    graph = Graph()
    filters = [graph.add_abuffer(sample_rate=rate, format="fltp", layout="stereo", time_base=Fraction(1, rate))]
    if pitch != 1:
        filters += [graph.add("asetrate", str(round(rate * pitch))), graph.add("aresample", str(rate))]
    speed = tempo / pitch
    steps = 2 if speed < _SLOWEST else 1
    filters += [graph.add("atempo", f"{speed ** (1 / steps):.9f}") for _ in range(steps)]
    graph.link_nodes(
        *filters, graph.add("aformat", "sample_fmts=fltp:channel_layouts=stereo"), graph.add("abuffersink")
    )
    graph.configure()
    return graph


def _pull(graph: Graph) -> Iterator[Samples]:
    while True:
        try:
            frame = graph.pull()
        except (NothingYet, Ended):
            return
        assert isinstance(frame, AudioFrame)
        yield frame.to_ndarray().astype(np.float32, copy=False)
