"""`python -m worker.fetch MODEL...`: put the weights of these models into the cache, for images and first starts."""

from __future__ import annotations

import sys

from msas.models import LITE
from msas.problem import ModelUnavailable
from msas.settings import Settings
from worker.engines import demucs, lite_weights


def main(names: list[str]) -> int:
    """Fetch each model's weights; return the exit status."""
    settings = Settings.from_environment()
    repo = settings.model_repo and settings.model_repo.expanduser()
    for name in names:
        try:
            if name == LITE.name:
                lite_weights.load(settings.cache_dir.expanduser())
            else:
                demucs.load(name, repo)
        except ModelUnavailable as problem:
            print(problem.detail, file=sys.stderr)
            return 1
        print(f"{name}: in the cache")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
