"""Opening a song: which files we take, and what we say of those that we don't."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.container import InputContainer

from msas.problem import EmptySong, NoAudioStream, NotAudio

# Only self-contained files. FFmpeg also knows playlists and scripts (hls, concat, ffmetadata, ...) that make
# it open other files and addresses, named by whoever wrote the upload.
_CONTAINERS = (
    "mp3,wav,w64,aiff,flac,ogg,aac,ac3,eac3,amr,ape,asf,au,avi,caf,flv,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,"
    "mpc,mpc8,mpeg,mpegts,tta,wv,dsf,oma,loas,mp2"
)
_LOWEST_RATE, _HIGHEST_RATE = 4_000, 768_000  # Hz
_OPTIONS = {"format_whitelist": _CONTAINERS, "protocol_whitelist": ""}


@dataclass(frozen=True)
class SongInfo:
    """What a song's container says: its format, sample rate in Hz, channels, length in seconds if it says one."""

    container: str
    rate: int
    channels: int
    seconds: float | None


@contextmanager
def open_song(file: IO[bytes]) -> Iterator[tuple[InputContainer, AudioStream]]:
    """Open the song in `file` (seekable) and pick its audio stream; closes the container, not the file.

    Raises EmptySong, NotAudio or NoAudioStream.
    """
    start = file.tell()
    if not file.read(1):
        raise EmptySong("The song has no bytes at all; check the file, then send it again.")
    file.seek(start)
    try:
        container = av.open(file, "r", options=_OPTIONS, metadata_errors="replace")
    except (av.FFmpegError, ValueError):
        raise NotAudio(
            "The file is not audio that we can read; send a song as MP3, WAV, FLAC, M4A, Ogg or the like."
        ) from None
    with container:
        stream = container.streams.best("audio")
        if not isinstance(stream, AudioStream):
            raise NoAudioStream("The file holds no audio stream; send one that has sound.")
        codec: AudioCodecContext | None = stream.codec_context  # None where FFmpeg has no decoder for it
        if codec is None:
            raise NotAudio("The file's sound is in a format that we can not decode; send it as MP3, WAV or FLAC.")
        if not _LOWEST_RATE <= codec.sample_rate <= _HIGHEST_RATE:
            raise NotAudio(
                f"The file claims {codec.sample_rate} samples a second, which no song has; "
                f"send one with {_LOWEST_RATE} to {_HIGHEST_RATE}."
            )
        yield container, stream


def probe(file: IO[bytes]) -> SongInfo:
    """Read what the song's container says, without decoding it. Raises as `open_song` does."""
    with open_song(file) as (container, stream):
        return SongInfo(
            container=container.format.name,
            rate=stream.codec_context.sample_rate,
            channels=stream.codec_context.channels,
            seconds=container.duration / av.time_base if container.duration else None,
        )
