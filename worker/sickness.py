"""Decides that this worker is sick: different songs failed in a row, or the GPU stays unusable."""

from __future__ import annotations

from collections.abc import Iterator

FAILURES = 3  # of different songs in a row: then the worker is the cause, not the songs
# After such an error PyTorch can't use the GPU until the process is started again. A lack of memory is temporary.
_GPU_ERROR, _NO_MEMORY = "CUDA error:", "out of memory"


class Sickness:
    """Counts unforeseen failures. `illness` is the reason why the worker is sick, in words; empty while it is not."""

    def __init__(self) -> None:
        self.illness = ""
        self._failed: set[str] = set()

    def succeeded(self) -> None:
        """Note that a song was separated."""
        self._failed.clear()

    def failed(self, songhash: str, error: BaseException) -> None:
        """Note a failure whose cause is not known to be the song."""
        self._failed.add(songhash)
        if self.gpu_lost(error):
            self.illness = "the GPU can not be used any more"
        elif len(self._failed) >= FAILURES:
            self.illness = f"{len(self._failed)} different songs failed in a row"

    @staticmethod
    def gpu_lost(error: BaseException) -> bool:
        """Return whether the error, or one of its causes, is a lasting error of the GPU."""
        texts = [str(each) for each in _chain(error)]
        return any(_GPU_ERROR in text and _NO_MEMORY not in text for text in texts)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        yield error
        seen.append(error)
        error = error.__cause__ or error.__context__
