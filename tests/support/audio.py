"""Real audio for the tests: the stempeg song with its true stems, and songs of every odd kind made from it."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from local.demo import default_song
from msas.formats import Encoder

RATE = 44100
STEMS = ("vocals", "drums", "bass", "other")
_STREAMS = ("mixture", "drums", "bass", "other", "vocals")  # of the stempeg song, in the file's order

Wave = NDArray[np.float32]


@cache
def true_waves() -> dict[str, Wave]:
    """Return the stempeg song's mixture and true stems, each float32 of shape (2, 268288) at 44.1 kHz."""
    return {name: decode(default_song(), stream) for stream, name in enumerate(_STREAMS)}


def decode(path: Path, stream: int = 0, rate: int = RATE) -> Wave:
    """Decode a file as a player would, to stereo at `rate` Hz."""
    with av.open(str(path)) as container:
        resampler = AudioResampler(format="fltp", layout="stereo", rate=rate)
        frames = [out for frame in container.decode(audio=stream) for out in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray() for frame in frames], axis=1).astype(np.float32)


def write(path: Path, wave: Wave, rate: int = RATE, codec: str = "pcm_f32le", layout: str = "stereo") -> Path:
    """Encode `wave`, shape (channels, samples), into `path`, whose suffix says the container."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        assert isinstance(stream, AudioStream)
        context = stream.codec_context
        size = context.frame_size or 1024
        resampler = AudioResampler(format=context.format or "flt", layout=layout, rate=rate, frame_size=size)
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(wave), format="fltp", layout=layout)
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path


def encoded(encoder: Encoder, wave: Wave, path: Path) -> Path:
    """Write `wave`, shape (2, n), into `path` with one of our encoders, in pieces as a worker does."""
    with path.open("wb") as file:
        file.write(encoder.begin())
        for begin in range(0, wave.shape[1], 30_011):
            file.write(encoder.encode(wave[:, begin : begin + 30_011]))
        file.write(encoder.end())
    encoder.close()
    return path


def resampled(wave: Wave, rate: int) -> Wave:
    """Return stereo `wave` at `rate` Hz instead of 44.1 kHz."""
    frame = AudioFrame.from_ndarray(np.ascontiguousarray(wave), format="fltp", layout="stereo")
    frame.sample_rate = RATE
    resampler = AudioResampler(format="fltp", layout="stereo", rate=rate)
    parts = [*resampler.resample(frame), *resampler.resample(None)]
    return np.concatenate([part.to_ndarray() for part in parts], axis=1).astype(np.float32)


def video_without_sound(path: Path) -> Path:
    """Write a second of moving picture, and no audio stream, into `path`."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25, width=64, height=64, pix_fmt="yuv420p")
        for number in range(25):
            picture = np.full((64, 64, 3), number * 10, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def snr_db(reference: Wave, estimate: Wave) -> float:
    """Return how far `reference` stands above its difference from `estimate`, in dB (SDR where it is a true stem)."""
    length = min(reference.shape[1], estimate.shape[1])
    reference, difference = reference[:, :length].astype(np.float64), 0.0 + reference[:, :length] - estimate[:, :length]
    return float(10 * np.log10(np.sum(reference**2) / max(float(np.sum(difference.astype(np.float64) ** 2)), 1e-30)))


def lag(reference: Wave, estimate: Wave) -> int:
    """Return by how many samples `estimate` comes later than `reference`: the peak of their cross-correlation."""
    size = 2 * max(reference.shape[1], estimate.shape[1])
    spectrum = np.conj(np.fft.rfft(reference.mean(0), size)) * np.fft.rfft(estimate.mean(0), size)
    peak = int(np.argmax(np.fft.irfft(spectrum, size)))
    return peak if peak < size // 2 else peak - size
