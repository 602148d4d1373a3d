"""The layout of ZIPs: any range, and sizes beyond 4 GB."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rest.api.zip_layout import Member, ZipLayout

MOMENT = datetime(2026, 11, 28, 11, 59, 58, tzinfo=UTC)
GIB = 2**30


def member(path: str, content: bytes) -> Member:
    return Member(path, len(content), zlib.crc32(content), lambda start, length: [content[start : start + length]])


def zeros(path: str, size: int) -> Member:
    """Return a member that is never opened."""
    return Member(path, size, 0, lambda *_: pytest.fail(f"{path} was opened"))


def written(folder: Path, members: Sequence[Member]) -> Path:
    """Write a ZIP of the members as a file, with a hole for each whose size is beyond 1 GiB."""
    layout, at = ZipLayout(members, MOMENT), 0
    path = folder / "large.zip"
    with path.open("wb") as file:
        for each in members:
            header = 30 + len(each.path.encode()) + (20 if each.size > 4 * GIB else 0)
            length = header + (each.size if each.size < GIB else 0)
            file.seek(at)
            file.writelines(layout.read(at, length))
            at += header + each.size
        file.seek(at)
        file.writelines(layout.read(at, layout.size - at))
    assert path.stat().st_size == layout.size
    return path


@pytest.mark.parametrize("length", [1, 13, 64, 1000])
def test_pieces_of_any_length_glued_together_are_the_whole(length: int) -> None:
    layout = ZipLayout([member("ä/夜.mp3", b"night" * 50), member("ä/none.mp3", b""), member("ä/b.mp3", b"b")], MOMENT)

    glued = b"".join(b"".join(layout.read(at, min(length, layout.size - at))) for at in range(0, layout.size, length))

    assert len(glued) == layout.size
    with zipfile.ZipFile(io.BytesIO(glued)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            "ä/夜.mp3": b"night" * 50,
            "ä/none.mp3": b"",
            "ä/b.mp3": b"b",
        }
        assert {info.date_time for info in archive.infolist()} == {(2026, 11, 28, 11, 59, 58)}


@pytest.mark.parametrize("sizes", [[5 * GIB], [3 * GIB, 3 * GIB], [5 * GIB, 3 * GIB, 6 * GIB]])
def test_a_member_behind_more_than_4_gib_can_be_read(tmp_path: Path, sizes: list[int]) -> None:
    large = [zeros(f"{number}.wav", size) for number, size in enumerate(sizes)]

    path = written(tmp_path, [*large, member("last.wav", b"sound")])

    with zipfile.ZipFile(path) as archive:
        assert [info.file_size for info in archive.infolist()] == [*sizes, 5]
        assert archive.read("last.wav") == b"sound"
        for each in large:
            with archive.open(each.path) as opened:
                assert opened.read(1000) == bytes(1000)
