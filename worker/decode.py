"""Decoding: from a song's file to the mixture that the engines work on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from msas.problem import NotAudio, TooShort
from msas.song import open_song


@dataclass(frozen=True)
class Mixture:
    """A decoded song: `samples` is float32 of shape (2, n) at the engine's rate.

    `rate` (Hz) and `length` (samples) are the song's own, which its stems must have again.
    """

    samples: NDArray[np.float32]
    rate: int
    length: int


def decode(path: Path, rate: int) -> Mixture:
    """Decode the song at `path` to stereo at `rate` Hz, as far as it can be decoded.

    Mono is doubled, more than two channels are mixed down. Raises a BadSong where there is no sound at all.
    """
    with path.open("rb") as file, open_song(file) as (container, stream):
        own_rate = stream.codec_context.sample_rate
        length = 0.0
        blocks: list[NDArray[np.float32]] = []
        resampler: AudioResampler | None = None
        form = (0, "", "")
        for frame in _frames(container, stream):
            if resampler is None or _form(frame) != form:
                blocks += _flush(resampler)
                form = _form(frame)
                layout = "mono" if frame.layout.nb_channels == 1 else "stereo"
                resampler = AudioResampler(format="fltp", layout=layout, rate=rate)
            length += frame.samples * own_rate / frame.sample_rate
            frame.pts = None  # timestamps may jump in broken files; samples are what counts
            try:
                blocks += _samples(resampler.resample(frame))
            except (av.FFmpegError, ValueError):
                raise NotAudio(
                    f"The song's {frame.layout.nb_channels} channels can not be mixed down; send it in stereo."
                ) from None
        blocks += _flush(resampler)
    stereo = [np.broadcast_to(block, (2, block.shape[1])) for block in blocks]
    samples = np.concatenate(stereo, axis=1) if stereo else np.zeros((2, 0), np.float32)
    if samples.shape[1] == 0:
        raise TooShort("Not one sample of sound could be decoded; check that the file plays, then send it again.")
    np.nan_to_num(samples, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    return Mixture(samples, own_rate, max(1, round(length)))


def _frames(container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
    """Yield what can be decoded: a damaged packet is left out, a file cut off ends early."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError:
            return
        if packet is None:
            return
        try:
            yield from packet.decode()
        except av.FFmpegError:
            continue


def _form(frame: AudioFrame) -> tuple[int, str, str]:
    """Return what must stay the same for one resampler: files glued together may change it on the way."""
    return frame.sample_rate, frame.layout.name, frame.format.name


def _flush(resampler: AudioResampler | None) -> list[NDArray[np.float32]]:
    return _samples(resampler.resample(None)) if resampler else []


def _samples(frames: list[AudioFrame]) -> list[NDArray[np.float32]]:
    return [frame.to_ndarray().astype(np.float32, copy=False) for frame in frames]
