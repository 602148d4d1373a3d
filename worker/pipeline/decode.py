"""Decodes a song's file into blocks of samples, any number of times, never as a whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer

from msas.audio_file import SongInfo, check_length, describe, no_sound, open_song
from msas.errors import NotAudio
from worker.engines import MixtureStats, Samples

_BLOCK_SECONDS = 1.0
LOUDEST = 100.0  # 40 dB above full scale; louder samples would overflow in networks and encoders


@dataclass
class DecodableSong:
    """The song at `path`, as far as it can be decoded. `info` is what its container tells.

    `length` is in samples at its own rate, `info.rate`, and known after `survey`.
    """

    path: Path
    info: SongInfo
    length: int = 0

    @classmethod
    def open(cls, path: Path) -> DecodableSong:
        """Read the song's headers. Raises a BadSong."""
        with path.open("rb") as file, open_song(file) as (container, stream):
            return cls(path, describe(file, container, stream))

    def survey(
        self, rate: int, most_minutes: float = math.inf, on_block: Callable[[], None] = lambda: None
    ) -> MixtureStats:
        """Decode the song once, for its length and the statistics that Demucs normalises by, at `rate` Hz.

        Calls `on_block` about once for every second of song; what that raises ends it.
        Raises a BadSong where there is no sound at all, or more than `most_minutes`.
        """
        length, total, squares = 0, 0.0, 0.0
        for block in self.blocks(rate):
            on_block()
            mono = block.mean(axis=0, dtype=np.float64)
            length, total, squares = length + len(mono), total + float(mono.sum()), squares + float(mono @ mono)
            check_length(length / rate, most_minutes)
        if length == 0:
            raise no_sound()
        mean = total / length
        variance = max(0.0, squares - length * mean**2) / max(1, length - 1)
        return MixtureStats(length, mean, math.sqrt(variance))

    def blocks(self, rate: int) -> Iterator[Samples]:
        """Yield the mixture in blocks of about a second: float32 of shape (2, n) at `rate` Hz.

        Mono is doubled, more than two channels are mixed down. After the last block `length` is set.
        """
        parts: list[Samples] = []
        for part in self._parts(rate):
            parts.append(part)
            if sum(part.shape[1] for part in parts) >= rate * _BLOCK_SECONDS:
                yield _joined(parts)
                parts = []
        if parts:
            yield _joined(parts)

    def _parts(self, rate: int) -> Iterator[Samples]:
        length = 0.0
        resampler: AudioResampler | None = None
        form = (0, "", "")
        with self.path.open("rb") as file, open_song(file) as (container, stream):
            for frame in _frames(container, stream):
                if resampler is None or _form(frame) != form:
                    yield from _flush(resampler)
                    form = _form(frame)
                    layout = "mono" if frame.layout.nb_channels == 1 else "stereo"
                    resampler = AudioResampler(format="fltp", layout=layout, rate=rate)
                length += frame.samples * self.info.rate / frame.sample_rate
                frame.pts = None  # timestamps may jump in broken files; samples are what counts
                try:
                    yield from _samples(resampler.resample(frame))
                except (av.FFmpegError, ValueError):
                    raise NotAudio(
                        f"The song's {frame.layout.nb_channels} channels can not be mixed down; send it in stereo."
                    ) from None
        yield from _flush(resampler)
        self.length = max(1, round(length))


def _frames(container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
    """Yield what can be decoded: damaged packets are left out, a truncated file ends early."""
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
    """Return what one resampler can't change: concatenated files may change it in the middle."""
    return frame.sample_rate, frame.layout.name, frame.format.name


def _flush(resampler: AudioResampler | None) -> list[Samples]:
    return _samples(resampler.resample(None)) if resampler else []


def _samples(frames: list[AudioFrame]) -> list[Samples]:
    return [frame.to_ndarray().astype(np.float32, copy=False) for frame in frames]


def _joined(parts: list[Samples]) -> Samples:
    block = np.concatenate([np.broadcast_to(part, (2, part.shape[1])) for part in parts], axis=1)
    np.nan_to_num(block, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    return block.clip(-LOUDEST, LOUDEST)
