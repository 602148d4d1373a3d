"""Good songs, of real sound, that the bad ones are made from: 0.3 s, the same bytes every time."""

from __future__ import annotations

import struct
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from tests.support.audio import RATE, Wave, true_waves, write

SECONDS = 0.3
_CODECS = {"mp3": "libmp3lame", "flac": "flac", "m4a": "aac", "aac": "aac", "mka": "libmp3lame", "ogg": "libopus"}


def wave(seconds: float = SECONDS) -> Wave:
    """Return `seconds` of a song, shape (2, n), from where it is loud."""
    samples: Wave = true_waves()["mixture"][:, 2 * RATE : 2 * RATE + round(seconds * RATE)]
    return samples


@cache
def encoded(suffix: str) -> bytes:
    """Return the song in the format of that name."""
    with tempfile.TemporaryDirectory() as folder:
        rate = 48000 if suffix == "ogg" else RATE
        return write(Path(folder) / f"song.{suffix}", wave(), rate, codec=_CODECS[suffix]).read_bytes()


def pcm(seconds: float = SECONDS) -> bytes:
    """Return the song as a WAV's 16-bit samples."""
    return (wave(seconds).T * 32767).astype("<i2").tobytes()


def form(tag: int = 1, channels: int = 2, rate: int = RATE, bits: int = 16) -> bytes:
    """Return what a WAV's `fmt ` chunk says: `tag` is the codec, 1 for whole numbers, 3 for floats."""
    frame = channels * bits // 8 & 0xFFFF
    return struct.pack("<HHIIHH", tag, channels, rate, rate * frame & 0xFFFFFFFF, frame, bits)


def chunk(name: bytes, content: bytes, claimed: int | None = None) -> bytes:
    """Return a WAV's chunk, which claims to have `claimed` bytes."""
    return name + struct.pack("<I", len(content) if claimed is None else claimed) + content


def wav(*chunks: bytes, claimed: int | None = None) -> bytes:
    """Return a WAV of these chunks, which claims to have `claimed` bytes."""
    return chunk(b"RIFF", b"WAVE" + b"".join(chunks), claimed)


def plain_wav(**about: int) -> bytes:
    """Return the song as a WAV, about which its header says this; see `form`."""
    return wav(chunk(b"fmt ", form(**about)), chunk(b"data", pcm()))


def of_floats(samples: np.ndarray[tuple[int, ...], np.dtype[np.floating]], bits: int) -> bytes:
    """Return a WAV of floats, `samples` of shape (2, n)."""
    kind = np.dtype(f"<f{bits // 8}")
    return wav(chunk(b"fmt ", form(tag=3, bits=bits)), chunk(b"data", samples.T.astype(kind).tobytes()))


def patched(content: bytes, at: int, new: bytes) -> bytes:
    """Return `content` with `new` in the place of as many bytes at `at`."""
    return content[:at] + new + content[at + len(new) :]


def flipped(content: bytes, share: float, begin: int = 0) -> bytes:
    """Return `content` with that share of all bits from byte `begin` on turned over, always the same ones."""
    damaged = np.frombuffer(content, np.uint8).copy()
    bits = np.unpackbits(damaged[begin:])
    bits ^= (np.random.default_rng(1).random(bits.size) < share).astype(np.uint8)
    damaged[begin:] = np.packbits(bits)
    return damaged.tobytes()
