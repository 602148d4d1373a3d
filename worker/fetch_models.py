"""`python -m worker.fetch_models [--weights] MODEL...`: downloads models into the cache and exports their networks.

With `--weights`, only what must be downloaded; else the networks are exported for this machine's runtime too.
"""

from __future__ import annotations

import sys

from msas.errors import ModelUnavailable
from msas.settings import Settings
from worker.engines.runtime import Runtime
from worker.library import Library

ONLY_WEIGHTS = "--weights"


def main(arguments: list[str]) -> int:
    """Fetch each model; return the exit status."""
    settings = Settings.from_environment()
    for name in arguments:
        try:
            if name != ONLY_WEIGHTS:
                _fetch(name, settings, export=ONLY_WEIGHTS not in arguments)
                print(f"{name}: in the cache")
        except ModelUnavailable as problem:
            print(problem.detail, file=sys.stderr)
            return 1
    return 0


def _fetch(name: str, settings: Settings, export: bool) -> None:
    library = Library(settings)
    library.fetch(name)
    if export:
        library.load(name, Runtime(settings))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
