"""Finds the song files that the command's arguments name: files, patterns, and folders."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path

_NAMES = "mp3 wav flac m4a ogg oga opus aac ac3 aif aiff amr ape caf wma mp2 mp4 mka mkv mov webm"
SOUNDS = frozenset(f".{name}" for name in _NAMES.split())


def expand_inputs(given: Iterable[str], leave_out: Path | None = None) -> list[Path]:
    """Return the files, each once, in order; of a folder, all in it and below that are named like sound.

    What lies below `leave_out` is no song: stems that were saved there before. A name that is no file stays in: to
    send it fails, and says so. Raises FileNotFoundError for a folder without songs.
    """
    found: dict[Path, None] = {}
    for name in given:
        path = Path(name)
        if path.is_dir():
            inside = [each for each in sorted(path.rglob("*")) if _is_song(each.relative_to(path), each, leave_out)]
            if not inside:
                raise FileNotFoundError(f"There are no songs in the folder {name}.")
            found |= dict.fromkeys(inside)
        elif not path.exists() and (matching := sorted(glob.glob(name, recursive=True))):  # noqa: PTH207
            found |= dict.fromkeys(map(Path, matching))
        else:
            found[path] = None
    return list(found)


def _is_song(inside: Path, path: Path, leave_out: Path | None) -> bool:
    if inside.suffix.lower() not in SOUNDS or any(part.startswith(".") for part in inside.parts):
        return False
    return path.is_file() and not (leave_out and path.resolve().is_relative_to(leave_out.resolve()))
