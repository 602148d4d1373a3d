"""Decodes a stem from the middle of its file: WAV, FLAC and MP3, from a byte at which samples are known to begin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

import numpy as np
from av import CodecContext
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.packet import Packet

from msas.formats import Samples

# By version (of MPEG: 1 is 3, 2 is 2, 2.5 is 0): sample rates in Hz, and bitrates in kbit/s of Layer III.
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_BITRATES_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_BITRATES_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_FLAC_STREAMINFO = slice(8, 42)  # in the file's first 42 bytes
_FRAMES_AT_ONCE = 64


def decode_wav(chunks: Iterable[bytes], bits: int) -> Iterator[Samples]:
    """Decode stereo samples of 16, 24 (integers) or 32 bits (floats); yield blocks of shape (2, n), full scale at 1."""
    size, rest = bits // 4, b""
    for chunk in chunks:
        data = rest + chunk
        whole = len(data) // size * size
        rest = data[whole:]
        yield _from_pcm(data[:whole], bits)


def _from_pcm(data: bytes, bits: int) -> Samples:
    if bits == 32:
        return np.frombuffer(data, "<f4").reshape(-1, 2).T
    if bits == 16:
        integers = np.frombuffer(data, "<i2").astype(np.int32)
    else:
        padded = np.zeros((len(data) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        integers = padded.view("<i4").reshape(-1) >> 8
    samples: Samples = (integers.reshape(-1, 2).T / np.float64(2 ** (bits - 1))).astype(np.float32)
    return samples


def decode_flac(header: bytes, chunks: Iterable[bytes]) -> Iterator[Samples]:
    """Decode FLAC frames, the first of which begins with the first chunk; `header` is the file's first 42 bytes."""
    codec = _open_decoder("flac")
    codec.extradata = header[_FLAC_STREAMINFO]
    for chunk in chunks:
        yield from _decode(codec, codec.parse(chunk))
    while packets := codec.parse(None):  # the frames that the parser holds back, one a call
        yield from _decode(codec, packets)


def decode_mp3(chunks: Iterable[bytes]) -> Iterator[Samples]:
    """Decode MP3 frames, the first of which begins with the first chunk.

    The samples come 1105 later than those that were encoded. The first frames may lack bits of frames before them.
    """
    codec = _open_decoder("mp3float")
    data = bytearray()
    for chunk in chunks:
        data += chunk
        packets, at = [], 0
        while at + 4 <= len(data) and (size := _mp3_frame_size(data, at)) <= len(data) - at:
            packets.append(Packet(bytes(data[at : at + size])))
            at += size
        del data[:at]
        yield from _decode(codec, packets)


def _mp3_frame_size(data: bytearray, at: int) -> int:
    """Return the size in bytes of the frame whose header is at `at`."""
    if data[at] != 0xFF or data[at + 1] & 0xE0 != 0xE0:
        raise ValueError("the stem holds bytes that are no MP3 frame")
    version, third = data[at + 1] >> 3 & 3, data[at + 2]
    scaled, bitrates = (144_000, _BITRATES_1) if version == 3 else (72_000, _BITRATES_2)
    return scaled * bitrates[third >> 4] // _RATES[version][third >> 2 & 3] + (third >> 1 & 1)


def _open_decoder(name: str) -> AudioCodecContext:
    return cast(AudioCodecContext, CodecContext.create(name, "r"))


def _decode(codec: AudioCodecContext, packets: Iterable[Packet[Any]]) -> Iterator[Samples]:
    frames = [frame for packet in packets for frame in codec.decode(packet)]
    for begin in range(0, len(frames), _FRAMES_AT_ONCE):
        yield np.concatenate([_to_floats(frame) for frame in frames[begin : begin + _FRAMES_AT_ONCE]], axis=1)


def _to_floats(frame: AudioFrame) -> Samples:
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, 2).T
    if np.issubdtype(samples.dtype, np.integer):
        samples = samples / np.float64(2 ** (8 * samples.dtype.itemsize - 1))
    return samples.astype(np.float32, copy=False)
