"""The WAV encoder: 16 or 24 bit integers or 32 bit floats; RF64 for files over four gigabytes.

Layout: Microsoft's RIFF and WAVE definitions; EBU Tech 3306 for RF64.
"""

from __future__ import annotations

import struct

import numpy as np

from msas.formats.encoder import quantise
from msas.formats.sample_streams import Samples

_PCM, _FLOAT = 1, 3
_INFO = {"title": b"INAM", "artist": b"IART", "album": b"IPRD"}
_MOST = 0xFFFFFFFF
_DS64_BYTES = 36


class WavEncoder:
    """See Encoder."""

    def __init__(self, rate: int, length: int, bits: int, tags: dict[str, str]) -> None:
        self.clipped, self.frame = 0, 1
        self._rate, self._length, self._bits, self._tags = rate, length, bits, tags
        self._sample_bytes = 2 * bits // 8

    def begin(self) -> bytes:
        frame = self._sample_bytes
        kind = _FLOAT if self._bits == 32 else _PCM
        form = struct.pack("<HHIIHH", kind, 2, self._rate, self._rate * frame, frame, self._bits)
        chunks = _chunk(b"fmt ", form)
        if kind == _FLOAT:
            chunks += _chunk(b"fact", struct.pack("<I", min(self._length, _MOST)))
        texts = b"".join(_chunk(_INFO[name], text.encode() + b"\0") for name, text in self._tags.items())
        if texts:
            chunks += _chunk(b"LIST", b"INFO" + texts)
        data = self._length * frame
        whole = 4 + len(chunks) + 8 + data
        self._begin = 8 + whole - data
        if whole <= _MOST:
            return struct.pack("<4sI4s", b"RIFF", whole, b"WAVE") + chunks + struct.pack("<4sI", b"data", data)
        self._begin += _DS64_BYTES
        sizes = _chunk(b"ds64", struct.pack("<QQQI", whole + _DS64_BYTES, data, self._length, 0))
        return struct.pack("<4sI4s", b"RF64", _MOST, b"WAVE") + sizes + chunks + struct.pack("<4sI", b"data", _MOST)

    def encode(self, samples: Samples) -> bytes:
        if self._bits == 32:
            return samples.T.astype("<f4").tobytes()
        integers, clipped = quantise(samples, self._bits)
        self.clipped += clipped
        if self._bits == 16:
            return integers.astype("<i2").tobytes()
        return np.ascontiguousarray(integers.astype("<i4")).view(np.uint8).reshape(-1, 4)[:, :3].tobytes()

    def end(self) -> bytes:
        return b""

    def starts(self, slice_samples: int) -> list[int]:
        return [self._begin + sample * self._sample_bytes for sample in range(0, self._length, slice_samples)]

    def close(self) -> None:
        pass


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack("<4sI", name, len(content)) + content + b"\0" * (len(content) % 2)
