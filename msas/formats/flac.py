"""The FLAC encoder: FFmpeg's, with the length in the header from the beginning (RFC 9639)."""

from __future__ import annotations

import struct
from fractions import Fraction
from itertools import accumulate
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.packet import Packet

from msas.formats.encoder import quantise
from msas.formats.sample_streams import Samples

HIGHEST_RATE = 655_350
_STREAMINFO, _VORBIS_COMMENT, _LAST = 0, 4, 0x80
_TOTAL = slice(13, 18)  # of STREAMINFO: the low four bits of byte 13 and bytes 14 to 17 are the number of samples


class FlacEncoder:
    """See Encoder. 16 or 24 bits per sample."""

    def __init__(self, rate: int, length: int, bits: int, tags: dict[str, str]) -> None:
        self.clipped = 0
        self._sizes: list[int] = []  # in bytes: of the header, then of each frame
        self._rate, self._length, self._bits, self._tags = rate, length, bits, tags
        codec = av.CodecContext.create("flac", "w")
        codec.sample_rate, codec.layout, codec.format = rate, "stereo", "s16" if bits == 16 else "s32"
        codec.time_base = Fraction(1, rate)
        codec.open()
        self._codec = codec
        self.frame: int = codec.frame_size
        self._waiting = np.zeros((0, 2), np.int32)
        self._pts = 0

    def begin(self) -> bytes:
        info = bytearray(self._codec.extradata or b"")
        total = int.from_bytes(info[_TOTAL], "big") & ~((1 << 36) - 1) | self._length
        info[_TOTAL] = total.to_bytes(5, "big")
        comments = [f"{name.upper()}={text}".encode() for name, text in self._tags.items()]
        lengths = [struct.pack("<I", len(comment)) + comment for comment in comments]
        tags = struct.pack("<I4sI", 4, b"MSAS", len(comments)) + b"".join(lengths)
        header = b"fLaC" + _block(_STREAMINFO, info) + _block(_VORBIS_COMMENT | _LAST, tags)
        self._sizes.append(len(header))
        return header

    def encode(self, samples: Samples) -> bytes:
        integers, clipped = quantise(samples, self._bits)
        self.clipped += clipped
        waiting = np.concatenate([self._waiting, integers])
        size = self.frame
        whole = len(waiting) // size * size
        self._waiting = waiting[whole:]
        return b"".join(self._frame(waiting[begin : begin + size]) for begin in range(0, whole, size))

    def end(self) -> bytes:
        last = self._frame(self._waiting) if len(self._waiting) else b""
        return last + self._taken(self._codec.encode(None))

    def starts(self, slice_samples: int) -> list[int]:
        begins = list(accumulate(self._sizes))[:-1]  # where each frame begins
        return begins[:: slice_samples // self.frame]

    def close(self) -> None:
        pass

    def _frame(self, integers: np.ndarray[tuple[int, ...], np.dtype[np.int32]]) -> bytes:
        form = "s16" if self._bits == 16 else "s32"
        # 24-bit samples are the upper bits of 32.
        content = integers.astype(np.int16) if self._bits == 16 else integers << 8
        frame = AudioFrame.from_ndarray(content.reshape(1, -1), format=form, layout="stereo")
        frame.sample_rate, frame.time_base, frame.pts = self._rate, Fraction(1, self._rate), self._pts
        self._pts += len(integers)
        return self._taken(self._codec.encode(frame))

    def _taken(self, packets: list[Packet[Any]]) -> bytes:
        frames = [bytes(packet) for packet in packets if packet.size]
        self._sizes += [len(frame) for frame in frames]
        return b"".join(frames)


def _block(kind: int, content: bytes | bytearray) -> bytes:
    return bytes([kind]) + len(content).to_bytes(3, "big") + content
