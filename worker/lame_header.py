"""The LAME header of an MP3: what makes decoders give back exactly the samples that went in.

FFmpeg writes it, but caps the padding at one frame: songs whose length is 1 to 47 samples past a whole
frame then decode up to 46 samples too long. Layout: the MP3 Info Tag specification by Gabriel Bouvigne.
"""

from __future__ import annotations

from pathlib import Path

_FIRST_FRAME = 4096  # bytes that surely hold the ID3 tag we write and the first frame
_FRAMES, _DELAY_AND_PADDING, _CRC = 8, 141, 154  # bytes from the word Info or Xing
_SYNC = b"\xff"


def write_length(path: Path, length: int, frame_size: int) -> None:
    """Make the MP3 at `path`, in frames of `frame_size` samples, decode to exactly `length` samples.

    Raises ValueError where the file has no LAME header.
    """
    with path.open("r+b") as file:
        head = bytearray(file.read(_FIRST_FRAME))
        tag = max(head.find(b"Info"), head.find(b"Xing"))
        if tag < 0:
            raise ValueError(f"{path.name} has no LAME header")
        frames = int.from_bytes(head[tag + _FRAMES : tag + _FRAMES + 4], "big")
        both = slice(tag + _DELAY_AND_PADDING, tag + _DELAY_AND_PADDING + 3)
        delay = int.from_bytes(head[both], "big") >> 12
        padding = frames * frame_size - delay - length
        head[both] = (delay << 12 | padding).to_bytes(3, "big")
        start = head.rindex(_SYNC, 0, tag)
        head[tag + _CRC : tag + _CRC + 2] = _crc16(head[start : tag + _CRC]).to_bytes(2, "big")
        file.seek(0)
        file.write(head)


def _crc16(data: bytearray) -> int:
    """Return the CRC-16/ARC of `data`, which the header ends with."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc
