"""The MP3 encoder: LAME's frames after a header with which decoders return exactly as many samples as were encoded.

The header must come first, when LAME could not know it yet: what depends on the length is worked out here.
Layout: the MP3 Info Tag specification by Gabriel Bouvigne.
"""

from __future__ import annotations

import numpy as np

from msas.formats.lame import Lame
from msas.formats.sample_streams import Samples

MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_MPEG_1_RATE = 32000  # Hz; at this rate and above, a frame has 1152 samples, else 576
_ENCODER_DELAY = 576  # samples; also LAME's least padding at the end
# Offsets of the header's fields in bytes from the word Info.
_FRAMES, _BYTES, _TOC, _PADDING, _MUSIC_BYTES, _MUSIC_CRC, _CRC = 8, 12, 16, 141, 148, 152, 154
_TOC_SIZE = 100


class Mp3Encoder:
    """See Encoder. Values beyond full scale are kept, so no sample is clipped."""

    def __init__(self, rate: int, length: int, kbits: int, tags: dict[str, str]) -> None:
        """`kbits` is in kbit/s, at most what `rate` allows."""
        self.clipped = 0
        self._rate, self._length, self._asked = rate, length, kbits
        self._lame = Lame(rate, kbits, tags)
        self.frame = 1152 if rate >= _MPEG_1_RATE else 576
        self._first = True

    def begin(self) -> bytes:
        tag, header = self._lame.id3(), self._header()
        self._begin = len(tag) + len(header)
        return tag + header

    def encode(self, samples: Samples) -> bytes:
        return self._without_placeholder(self._lame.encode(samples))

    def end(self) -> bytes:
        return self._without_placeholder(self._lame.flush())

    def close(self) -> None:
        self._lame.close()

    def starts(self, slice_samples: int) -> list[int]:
        begins = range(0, self._length, slice_samples)
        return [self._begin + self._bytes_of(sample // self.frame) for sample in begins]

    def _bytes_of(self, frames: int) -> int:
        return _size(frames, self.frame // 8 * 1000 * self._lame.kbits, self._rate)

    def _without_placeholder(self, frames: bytes) -> bytes:
        """Remove the empty frame that LAME reserves for its header."""
        if self._first and frames:
            self._first = False
            return frames[len(self._model) :]
        return frames

    def _header(self) -> bytes:
        """Return the header of LAME for a short silence, with the fields that depend on the length replaced."""
        self._model = _header_of_silence(self._rate, self._asked)
        head = bytearray(self._model)
        frame = self.frame
        padding = -(_ENCODER_DELAY + self._length) % frame
        padding += frame if padding < _ENCODER_DELAY else 0
        frames = (_ENCODER_DELAY + self._length + padding) // frame
        size = len(head) + self._bytes_of(frames)
        tag = head.index(b"Info")
        head[tag + _FRAMES : tag + _FRAMES + 4] = frames.to_bytes(4, "big")
        head[tag + _BYTES : tag + _BYTES + 4] = (size & 0xFFFFFFFF).to_bytes(4, "big")
        head[tag + _TOC : tag + _TOC + _TOC_SIZE] = bytes(256 * part // _TOC_SIZE for part in range(_TOC_SIZE))
        head[tag + _PADDING : tag + _PADDING + 3] = (_ENCODER_DELAY << 12 | padding).to_bytes(3, "big")
        head[tag + _MUSIC_BYTES : tag + _MUSIC_BYTES + 4] = (size & 0xFFFFFFFF).to_bytes(4, "big")
        head[tag + _MUSIC_CRC : tag + _MUSIC_CRC + 2] = bytes(2)
        head[tag + _CRC : tag + _CRC + 2] = _crc16(head[: tag + _CRC]).to_bytes(2, "big")
        return bytes(head)


def mp3_rate(rate: int) -> int:
    """Return the sample rate in Hz of an MP3 of a song at `rate`: the next higher one of MP3."""
    return next((known for known in MP3_RATES if known >= rate), MP3_RATES[-1])


def _header_of_silence(rate: int, kbits: int) -> bytes:
    lame = Lame(rate, kbits)
    try:
        lame.encode(np.zeros((2, 1152), np.float32))
        lame.flush()
        return lame.header()
    finally:
        lame.close()


def _size(frames: int, scaled: int, rate: int) -> int:
    """Return the bytes of `frames` frames of `scaled` / `rate` bytes on average. Each frame has a whole number of
    bytes, and one more whenever the fractions that LAME accumulates make a byte."""
    return frames * (scaled // rate) + -(-(frames * (scaled % rate) - scaled % rate) // rate)


def _crc16(data: bytearray) -> int:
    """Return the CRC-16/ARC of `data`, which is at the header's end."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc
