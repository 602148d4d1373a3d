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

from msas.problem import EmptySong, NoAudioStream, NotAudio, TooLong

# Only self-contained files. FFmpeg also knows playlists and scripts (hls, concat, ffmetadata, ...) that make
# it open other files and addresses, named by whoever wrote the upload.
_CONTAINERS = (
    "mp3,wav,w64,aiff,flac,ogg,aac,ac3,eac3,amr,ape,asf,au,avi,caf,flv,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,"
    "mpc,mpc8,mpeg,mpegts,tta,wv,dsf,oma,loas,mp2"
)
_LOWEST_RATE, _HIGHEST_RATE = 4_000, 768_000  # Hz
TAGS = ("title", "artist", "album")
_TAG_LENGTH = 500
_OPTIONS = {"format_whitelist": _CONTAINERS, "protocol_whitelist": ""}


@dataclass(frozen=True)
class SongInfo:
    """What a song's container says: its format, sample rate in Hz, channels, length in seconds if it says one,
    and its tags, of which only title, artist and album are kept."""

    container: str
    rate: int
    channels: int
    seconds: float | None
    tags: dict[str, str]


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


def probe(file: IO[bytes], most_minutes: float) -> SongInfo:
    """Read what the song's container says, without decoding it.

    Raises as `open_song` does, and TooLong where it claims more than `most_minutes`.
    """
    with open_song(file) as (container, stream):
        info = describe(container, stream)
    check_length(info.seconds or 0.0, most_minutes)
    return info


def describe(container: InputContainer, stream: AudioStream) -> SongInfo:
    """Say what the open container and its audio stream claim to be."""
    found = {name.lower(): value for name, value in {**stream.metadata, **container.metadata}.items()}
    return SongInfo(
        container=container.format.name,
        rate=stream.codec_context.sample_rate,
        channels=stream.codec_context.channels,
        seconds=container.duration / av.time_base if container.duration else None,
        tags={name: text for name in TAGS if (text := _tag(found.get(name, "")))},
    )


def check_length(seconds: float, most_minutes: float) -> None:
    """Raise TooLong where a song of `seconds` is longer than `most_minutes`."""
    if seconds > most_minutes * 60:
        raise TooLong(
            f"The song is longer than the {most_minutes:g} minutes that this service takes; send it in parts."
        )


def _tag(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)[:_TAG_LENGTH].strip()
