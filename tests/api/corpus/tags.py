"""What songs carry besides sound: tags and covers, made by hand."""

from __future__ import annotations

import struct
import zlib

from tests.api.corpus.sound import encoded


def frames_of_mp3() -> bytes:
    """Return the song as MP3 frames, without a tag."""
    song = encoded("mp3")
    return song[song.index(b"\xff\xfb") :]


def id3(*frames: bytes, claimed: int | None = None) -> bytes:
    """Return an ID3v2.4 tag of these frames, which claims to have `claimed` bytes."""
    content = b"".join(frames)
    return b"ID3\x04\0\0" + _seven_bits(len(content) if claimed is None else claimed) + content


def frame(name: bytes, content: bytes) -> bytes:
    return name + _seven_bits(len(content)) + b"\0\0" + content


def title(text: bytes) -> bytes:
    """Return an ID3 frame with a title, in what should be UTF-8."""
    return frame(b"TIT2", b"\x03" + text)


def cover(picture: bytes, kind: bytes = b"image/png") -> bytes:
    return frame(b"APIC", b"\0" + kind + b"\0\x03\0" + picture)


def png(width: int, height: int) -> bytes:
    """Return a black picture that claims this size, and holds as many pixels as fit into 3 MB."""
    rows = zlib.compress(bytes(min((width * 3 + 1) * height, 3_000_000)))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _png_chunk(b"IHDR", head) + _png_chunk(b"IDAT", rows) + _png_chunk(b"IEND", b"")


def flac_block(kind: int, content: bytes, claimed: int | None = None) -> bytes:
    """Return a FLAC's metadata block, never the last one: 1 is padding, 4 comments, 6 a picture."""
    return bytes([kind]) + (len(content) if claimed is None else claimed).to_bytes(3, "big") + content


def flac_comments(*comments: bytes) -> bytes:
    """Return the block of a FLAC's comments, each NAME=value."""
    each = b"".join(struct.pack("<I", len(comment)) + comment for comment in comments)
    return flac_block(4, struct.pack("<I", 4) + b"test" + struct.pack("<I", len(comments)) + each)


def flac_with(*blocks: bytes) -> bytes:
    """Return the song as a FLAC with these blocks behind its first one."""
    song = encoded("flac")
    return song[:42] + b"".join(blocks) + song[42:]


def _seven_bits(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def _png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
