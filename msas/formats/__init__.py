"""Chooses the encoder (MP3, WAV, FLAC) and the sample rate for the options of a stem or a mix."""

from __future__ import annotations

from msas.formats.encoder import Encoder
from msas.formats.flac import HIGHEST_RATE, FlacEncoder
from msas.formats.mp3 import Mp3Encoder, mp3_rate
from msas.formats.sample_streams import Samples, pad_or_trim, resampled
from msas.formats.wav import WavEncoder
from msas.options import Options

__all__ = ["Encoder", "Samples", "open_encoder", "pad_or_trim", "resampled", "stem_rate"]


def stem_rate(options: Options, rate: int) -> int:
    """Return the sample rate in Hz of the stems of a song at `rate`: the same, if the format supports it."""
    if options.format == "mp3":
        return mp3_rate(rate)
    return min(rate, HIGHEST_RATE) if options.format == "flac" else rate


def open_encoder(options: Options, rate: int, length: int, tags: dict[str, str]) -> Encoder:
    """Begin to encode `length` samples at `rate` Hz in the format of the options."""
    if options.format == "mp3":
        return Mp3Encoder(rate, length, options.mp3_bitrate, tags)
    if options.format == "flac":
        return FlacEncoder(rate, length, options.bit_depth, tags)
    return WavEncoder(rate, length, options.bit_depth, tags)
