"""`python -m worker.fetch_models MODEL...`: downloads models into the cache and exports their networks, for images."""

from __future__ import annotations

import sys

from msas.errors import ModelUnavailable
from msas.settings import Settings
from worker.engines.runtime import Runtime
from worker.library import Library

_STEP = 0.1  # of a download, after which a line says how far it is


def main(names: list[str]) -> int:
    """Fetch each model; return the exit status."""
    settings = Settings.from_environment()
    library = Library(settings)
    for name in names:
        try:
            if name not in library.names():
                raise ModelUnavailable(f"There is no model {name!r}; choose one of: {', '.join(library.names())}.")
            library.fetch(name, _Lines(name))
            library.load(name, Runtime(settings))
            print(f"{name}: in the cache", flush=True)
        except ModelUnavailable as problem:
            print(problem.detail, file=sys.stderr)
            return 1
    return 0


class _Lines:
    """Prints how far a download is."""

    def __init__(self, name: str) -> None:
        self._name, self._next = name, 0.0

    def __call__(self, done: int, total: int) -> None:
        if total and done >= self._next * total:
            self._next = done / total + _STEP
            print(f"{self._name}: {done / 1e6:.1f} of {total / 1e6:.1f} MB", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
