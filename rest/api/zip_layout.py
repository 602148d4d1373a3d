"""Computes any byte range of a ZIP file of uncompressed members without making the whole file.

Structures as in PKWARE's APPNOTE.TXT 6.3.10, sections 4.3 to 4.5; Zip64 only where a number needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from struct import pack

_MOST = 0xFFFFFFFF  # in a field of 32 bits, where it says that the number is among the Zip64 fields
_VERSION, _VERSION_ZIP64 = 20, 45  # of the standard that a reader must know
_MADE_BY = 3 << 8 | _VERSION_ZIP64  # Unix: 3
_PERMISSIONS = 0o100644 << 16  # a file that its owner may write and all may read
_UTF8 = 0x800


@dataclass(frozen=True)
class Member:
    """A file in the ZIP: its path, size in bytes and CRC-32. `open_range(start, length)` returns that part of it."""

    path: str
    size: int
    crc32: int
    open_range: Callable[[int, int], Iterable[bytes]]


class ZipLayout:
    """A ZIP file of `members`, all dated `moment`. It has `size` bytes, of which `own_bytes` are not the members'."""

    def __init__(self, members: Sequence[Member], moment: datetime) -> None:
        self._parts: list[bytes | Member] = []
        self.size, directory = 0, b""
        for member in members:
            directory += _directory_entry(member, moment, self.size)
            self._append(_header(member, moment))
            self._append(member)
        self._append(directory + _end(len(members), len(directory), self.size))

    @property
    def own_bytes(self) -> bytes:
        return b"".join(part for part in self._parts if isinstance(part, bytes))

    def read(self, start: int, length: int) -> Iterator[bytes]:
        """Yield `length` bytes from byte `start` on. Members outside the range are not opened."""
        for part in self._parts:
            first, last = max(start, 0), min(start + length, _size(part))
            if first < last:
                yield from [part[first:last]] if isinstance(part, bytes) else part.open_range(first, last - first)
            start -= _size(part)

    def _append(self, part: bytes | Member) -> None:
        self._parts.append(part)
        self.size += _size(part)


def _size(part: bytes | Member) -> int:
    return part.size if isinstance(part, Member) else len(part)


def _header(member: Member, moment: datetime) -> bytes:
    size, path = member.size, member.path.encode()
    extra = _zip64(size, size) if size >= _MOST else b""
    return b"PK\3\4" + _common(member, moment, bool(extra)) + pack("<2H", len(path), len(extra)) + path + extra


def _directory_entry(member: Member, moment: datetime, offset: int) -> bytes:
    size, path = member.size, member.path.encode()
    extra = _zip64(*(number for number in (size, size, offset) if number >= _MOST))
    return (
        b"PK\1\2"
        + pack("<H", _MADE_BY)
        + _common(member, moment, bool(extra))
        + pack("<5H2I", len(path), len(extra), 0, 0, 0, _PERMISSIONS, min(offset, _MOST))
        + path
        + extra
    )


def _common(member: Member, moment: datetime, zip64: bool) -> bytes:
    """Return the fields that a member's header and its entry in the directory share."""
    version, size = _VERSION_ZIP64 if zip64 else _VERSION, min(member.size, _MOST)
    time = moment.hour << 11 | moment.minute << 5 | moment.second // 2
    date = (moment.year - 1980) << 9 | moment.month << 5 | moment.day
    return pack("<5H3I", version, _UTF8, 0, time, date, member.crc32, size, size)


def _zip64(*numbers: int) -> bytes:
    return pack(f"<2H{len(numbers)}Q", 1, 8 * len(numbers), *numbers) if numbers else b""


def _end(count: int, size: int, offset: int) -> bytes:
    """Return what follows the directory of `count` entries and `size` bytes, which begins at byte `offset`."""
    zip64 = b""
    if offset >= _MOST:
        zip64 = b"PK\6\6" + pack("<Q2H2I4Q", 44, _MADE_BY, _VERSION_ZIP64, 0, 0, count, count, size, offset)
        zip64 += b"PK\6\7" + pack("<IQI", 0, offset + size, 1)
    return zip64 + b"PK\5\6" + pack("<4H2IH", 0, 0, count, count, size, min(offset, _MOST), 0)
