"""`python -m worker.fetch_models [--weights] MODEL...`: downloads models into the cache and exports their networks.

With `--weights`, only what must be downloaded; else the networks are exported for this machine's runtime too.
"""

from __future__ import annotations

import sys

from msas.errors import ModelUnavailable
from msas.models import LITE
from msas.settings import Settings
from worker.engines import demucs, demucs_weights, lite_weights
from worker.engines.lite import LiteEngine
from worker.engines.runtime import Runtime

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
    cache = settings.cache_dir.expanduser()
    repo = settings.model_repo and settings.model_repo.expanduser()
    if name == LITE.name:
        lite_weights.load(cache)
    else:
        demucs_weights.read(name, repo)
    if export and name == LITE.name:
        LiteEngine(cache, Runtime(settings))
    elif export:
        demucs.load(name, repo, Runtime(settings))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
