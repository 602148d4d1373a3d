"""Which files a caller means: names, patterns that no shell expanded, folders."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path

_NAMES = "mp3 wav flac m4a ogg oga opus aac ac3 aif aiff amr ape caf wma mp2 mp4 mka mkv mov webm"
SOUNDS = frozenset(f".{name}" for name in _NAMES.split())


def songs_of(given: Iterable[str]) -> list[Path]:
    """Return the files, each once, in order; of a folder, all in it and below that are named like sound.

    A name that is no file stays in: to send it fails, and says so.
    """
    found: dict[Path, None] = {}
    for name in given:
        path = Path(name)
        if path.is_dir():
            inside = sorted(each for each in path.rglob("*") if each.suffix.lower() in SOUNDS and each.is_file())
            found |= dict.fromkeys(inside or [path])
        elif not path.exists() and (matching := sorted(glob.glob(name, recursive=True))):  # noqa: PTH207
            found |= dict.fromkeys(map(Path, matching))
        else:
            found[path] = None
    return list(found)
