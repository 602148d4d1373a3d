"""Decides that this worker is sick: different songs failed in a row, or the GPU stays unusable."""

from __future__ import annotations

from collections.abc import Iterator

FAILURES = 3  # of different songs in a row, after which the worker is to blame
# After such an error PyTorch can use the GPU no more until the process starts anew. A lack of memory passes.
_GPU_ERROR, _NO_MEMORY = "CUDA error:", "out of memory"


class Sickness:
    """Counts unforeseen failures. `illness` says in words why the worker is sick; it is empty while all is well."""

    def __init__(self) -> None:
        self.illness = ""
        self._failed: set[str] = set()

    def succeeded(self) -> None:
        """Note that a song was separated."""
        self._failed.clear()

    def failed(self, songhash: str, error: BaseException) -> None:
        """Note a failure that is not the song's fault as far as we know."""
        self._failed.add(songhash)
        if self.gpu_lost(error):
            self.illness = "the GPU can not be used any more"
        elif len(self._failed) >= FAILURES:
            self.illness = f"{len(self._failed)} different songs failed in a row"

    @staticmethod
    def gpu_lost(error: BaseException) -> bool:
        """Say whether the error, or what led to it, is one of the GPU that lasts."""
        texts = [str(each) for each in _chain(error)]
        return any(_GPU_ERROR in text and _NO_MEMORY not in text for text in texts)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        yield error
        seen.append(error)
        error = error.__cause__ or error.__context__
