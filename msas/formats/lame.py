"""Binding to LAME, the MP3 encoder, by ctypes, from the library inside the package `lameenc`.

That wheel's own Python face takes 16 bit samples only, which would clip, and writes no header. Its LAME is
compiled three times as fast as the one in PyAV's FFmpeg; docs/benchmarks.md has the figures.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping

import lameenc
import numpy as np

from msas.formats.sample_streams import Samples

_JOINT_STEREO = 1
# 7 and above are equal, fast, and at 320 kbit/s closer to the waveform than LAME's default.
_QUALITY = 7
_LOUDEST = 1000.0  # full scale: 1
_ID3_FRAMES = {"title": b"TIT2", "artist": b"TPE1", "album": b"TALB"}

_lib = ctypes.CDLL(lameenc.__file__)
_lib.lame_init.restype = ctypes.c_void_p
_lib.lame_get_lametag_frame.restype = _lib.lame_get_id3v2_tag.restype = ctypes.c_size_t


class Lame:
    """One encoder: stereo floats in, MP3 frames out. Its memory is freed by `close`."""

    def __init__(self, rate: int, kbits: int, tags: Mapping[str, str] = {}) -> None:
        """`rate` in Hz must be one of MP3's; LAME changes `kbits` to a bit rate that `rate` allows."""
        self._handle = ctypes.c_void_p(_lib.lame_init())
        if not self._handle:
            raise MemoryError("LAME could not be started")
        for name, value in (
            ("in_samplerate", rate),
            ("out_samplerate", rate),
            ("num_channels", 2),
            ("mode", _JOINT_STEREO),
            ("brate", kbits),
            ("quality", _QUALITY),
            ("write_id3tag_automatic", 0),
        ):
            getattr(_lib, f"lame_set_{name}")(self._handle, value)
        if tags:
            self._tag(tags)
        if _lib.lame_init_params(self._handle) < 0:
            self.close()
            raise ValueError(f"LAME does not know {kbits} kbit/s at {rate} Hz")
        self.kbits: int = _lib.lame_get_brate(self._handle)

    def id3(self) -> bytes:
        """Return the ID3v2 tag."""
        size = _lib.lame_get_id3v2_tag(self._handle, None, ctypes.c_size_t(0))
        tag = ctypes.create_string_buffer(size)
        _lib.lame_get_id3v2_tag(self._handle, tag, ctypes.c_size_t(size))
        return tag.raw

    def encode(self, samples: Samples) -> bytes:
        """Encode samples of shape (2, n); full scale is 1, larger values are kept."""
        count = samples.shape[1]
        # LAME aborts the process on NaN and on values far beyond full scale.
        sane = np.nan_to_num(samples).clip(-_LOUDEST, _LOUDEST)
        left, right = (np.ascontiguousarray(channel, np.float32) for channel in sane)
        out = ctypes.create_string_buffer(count * 5 // 4 + 7200)  # the minimum according to LAME's header file
        pointers = (ctypes.c_void_p(channel.ctypes.data) for channel in (left, right))
        return self._taken(out, _lib.lame_encode_buffer_ieee_float(self._handle, *pointers, count, out, len(out)))

    def flush(self) -> bytes:
        """Return the last frames."""
        out = ctypes.create_string_buffer(7200 + 4096)
        return self._taken(out, _lib.lame_encode_flush(self._handle, out, len(out)))

    def header(self) -> bytes:
        """Return the Info frame (number of frames, delay, padding) as of now."""
        out = ctypes.create_string_buffer(4096)
        size = _lib.lame_get_lametag_frame(self._handle, out, ctypes.c_size_t(len(out)))
        return out.raw[:size]

    def close(self) -> None:
        if self._handle:
            _lib.lame_close(self._handle)
            self._handle = ctypes.c_void_p()

    def _tag(self, tags: Mapping[str, str]) -> None:
        _lib.id3tag_init(self._handle)
        _lib.id3tag_v2_only(self._handle)
        _lib.id3tag_set_pad(self._handle, ctypes.c_size_t(0))
        for name, text in tags.items():
            coded = ("\ufeff" + text).encode("utf-16-le") + b"\0\0"
            _lib.id3tag_set_textinfo_utf16(self._handle, _ID3_FRAMES[name], coded)

    @staticmethod
    def _taken(out: ctypes.Array[ctypes.c_char], size: int) -> bytes:
        if size < 0:
            raise RuntimeError(f"LAME failed with {size}")
        return out.raw[:size]
