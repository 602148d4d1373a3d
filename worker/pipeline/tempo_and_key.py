"""Analyses a song while it is separated: its tempo from the drums, its key from bass, other and their like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from worker.engines import Samples
from worker.pipeline.key import KeyEstimator
from worker.pipeline.tempo import TempoEstimator
from worker.system import lower_thread_priority

_DRUMS, _PITCHED = "drums", ("bass", "other", "guitar", "piano")
_LEAST_SECONDS = 10.0  # of song; what is shorter has neither


class SongAnalysis:
    """Takes in a song's sources, stretch after stretch; `finish` returns what the report says of the song.

    The work is done by the threads of `pool`, at most one stretch at a time, while the engine makes the next one.
    """

    def __init__(self, stems: Sequence[str], rate: int, pool: ThreadPoolExecutor) -> None:
        """`stems` are the names of the sources, `rate` in Hz is that of their samples."""
        self._pool, self._rate, self._length = pool, rate, 0
        self._drums = stems.index(_DRUMS) if _DRUMS in stems else None
        self._pitched = [number for number, stem in enumerate(stems) if stem in _PITCHED]
        self._tempo, self._key = TempoEstimator(rate), KeyEstimator(rate)
        self._pending: Future[None] | None = None

    def put(self, sources: Samples) -> None:
        """Hand on the next stretch, shape (stems, 2, n); wait until the one before was taken in."""
        self._wait()
        self._pending = self._pool.submit(self._add, sources)

    def finish(self) -> dict[str, Any]:
        """Return `tempo_bpm` and `key`, each with its confidence; leave out what is not known well enough."""
        self._wait()
        found: dict[str, Any] = {}
        if self._length < _LEAST_SECONDS * self._rate:
            return found
        if tempo := self._tempo.estimate():
            found |= {"tempo_bpm": round(tempo[0], 1), "tempo_confidence": round(tempo[1], 2)}
        if key := self._key.estimate():
            found |= {"key": key[0], "key_confidence": round(key[1], 2)}
        return found

    def _wait(self) -> None:
        if self._pending:
            self._pending.result()

    def _add(self, sources: Samples) -> None:
        self._length += sources.shape[2]
        if self._drums is not None:
            self._tempo.add(sources[self._drums])
        if self._pitched:
            self._key.add(sources[self._pitched].sum(axis=0))


@contextmanager
def analysing(stems: Sequence[str], rate: int) -> Iterator[SongAnalysis]:
    """Open the analysis of a song, with a thread of its own, at the lowest priority."""
    with ThreadPoolExecutor(1, initializer=lower_thread_priority) as pool:
        yield SongAnalysis(stems, rate, pool)
