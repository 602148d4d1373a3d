"""Opens an uploaded song with FFmpeg: accepted formats, tags and length, errors for other files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.container import InputContainer

from msas.errors import EmptySong, NoAudioStream, NotAudio, TooLong, TooShort

# Only self-contained files. FFmpeg also supports playlists and scripts (hls, concat, ffmetadata, ...) that make it open
# other files and addresses, which the upload names.
_CONTAINERS = (
    "mp3,wav,w64,aiff,flac,ogg,aac,ac3,eac3,amr,ape,asf,au,avi,caf,flv,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,"
    "mpc,mpc8,mpeg,mpegts,tta,wv,dsf,oma,loas,mp2"
)
_LOWEST_RATE, _HIGHEST_RATE = 4_000, 768_000  # Hz
_MIXABLE = (*range(1, 9), 10, 12, 14, 16, 24)  # channels; for other numbers FFmpeg has no channel layout
# Even a second of silence in FLAC takes more bytes; a file that claims more seconds is lying.
_LEAST_BYTES_PER_SECOND = 8
# Files with these first bytes are not audio, even if they contain MP3 frames, which FFmpeg would find and decode.
_NOT_AUDIO = {
    b"PK\x03\x04": "a ZIP archive",
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"\x1f\x8b": "a gzip archive",
    b"%PDF": "a PDF document",
    b"\x89PNG": "a picture",
    b"GIF8": "a picture",
    b"\xff\xd8\xff": "a picture",
}
_WITHOUT_LENGTH = ("aac", "loas")  # formats whose files do not contain their length
# An MP3's first frame may contain the number of frames, in the tag of Xing and LAME (`Info`) or of Fraunhofer's encoder
# (`VBRI`); 0 means unknown. FFmpeg reads both: libavformat/mp3dec.c.
_FRAME_COUNT = re.compile(rb"(?:(?:Xing|Info).{4}|VBRI.{10})(?!\0{4})", re.DOTALL)
_FIRST_FRAME = 4096  # bytes; the largest frame has 1,441, and some files have a few stray bytes before it
TAGS = ("title", "artist", "album")
_TAG_LENGTH = 500
_OPTIONS = {"format_whitelist": _CONTAINERS, "protocol_whitelist": ""}


@dataclass(frozen=True)
class SongInfo:
    """What a song's container contains: its format, sample rate in Hz, number of channels, length in seconds (None
    without a credible one), and the tags title, artist and album."""

    container: str
    rate: int
    channels: int
    seconds: float | None
    tags: dict[str, str]


@contextmanager
def open_song(file: IO[bytes]) -> Iterator[tuple[InputContainer, AudioStream]]:
    """Open the song in the seekable `file`, and select its audio stream; closes the container, not the file.

    Raises EmptySong, NotAudio or NoAudioStream.
    """
    start = file.tell()
    _check_beginning(file.read(8))
    file.seek(start)
    try:
        container = av.open(file, "r", options=_OPTIONS, metadata_errors="replace")
    except (av.FFmpegError, ValueError):
        raise NotAudio(
            "The file is not audio in a supported format; send a song as MP3, WAV, FLAC, M4A, Ogg or the like."
        ) from None
    with container:
        stream = container.streams.best("audio")
        if not isinstance(stream, AudioStream):
            raise NoAudioStream("The file has no audio stream; send one that has sound.")
        codec: AudioCodecContext | None = stream.codec_context  # None where FFmpeg has no decoder
        if codec is None:
            raise NotAudio("The file's audio format can not be decoded; send it as MP3, WAV or FLAC.")
        if not _LOWEST_RATE <= codec.sample_rate <= _HIGHEST_RATE:
            raise NotAudio(
                f"The file has a sample rate of {codec.sample_rate} Hz; "
                f"send one with {_LOWEST_RATE} to {_HIGHEST_RATE} Hz."
            )
        if codec.channels not in _MIXABLE:
            raise NotAudio(f"A song of {codec.channels} channels can not be mixed down; send it in stereo.")
        yield container, stream


def _check_beginning(beginning: bytes) -> None:
    if not beginning:
        raise EmptySong("The song is empty; check the file, then send it again.")
    for mark, what in _NOT_AUDIO.items():
        if beginning.startswith(mark):
            raise NotAudio(f"The file is {what}; send the song itself.")


def probe(file: IO[bytes], most_minutes: float) -> SongInfo:
    """Read the song's container without decoding the song.

    Raises the errors of `open_song`, TooLong where it is longer than `most_minutes`, TooShort where it has no packets.
    """
    with open_song(file) as (container, stream):
        info = describe(file, container, stream)
        check_length(info.seconds or 0.0, most_minutes)
        if not _has_packet(container, stream):
            raise no_sound()
    return info


def _has_packet(container: InputContainer, stream: AudioStream) -> bool:
    try:
        first = next(container.demux(stream), None)
    except av.FFmpegError:
        return False
    return first is not None and first.size > 0


def no_sound() -> TooShort:
    """Return the error for a song of which no sample can be decoded."""
    return TooShort("No sample could be decoded; check that the file plays, then send it again.")


def describe(file: IO[bytes], container: InputContainer, stream: AudioStream) -> SongInfo:
    """Return the facts of the container, opened from `file`, and of its audio stream."""
    found = {name.lower(): value for name, value in {**stream.metadata, **container.metadata}.items()}
    claimed = (container.duration or 0) / av.time_base if _contains_length(file, container.format.name) else 0.0
    return SongInfo(
        container=container.format.name,
        rate=stream.codec_context.sample_rate,
        channels=stream.codec_context.channels,
        seconds=claimed if 0 < claimed <= container.size / _LEAST_BYTES_PER_SECOND else None,
        tags={name: text for name in TAGS if (text := _tag(found.get(name, "")))},
    )


def _contains_length(file: IO[bytes], container: str) -> bool:
    """Return whether the file contains its length; else FFmpeg estimates it from the bit rate of the first frames."""
    if container != "mp3":
        return container not in _WITHOUT_LENGTH
    position = file.tell()
    file.seek(0)
    tag = file.read(10)
    if tag.startswith(b"ID3"):  # four bytes of seven bits each are the tag's size
        file.seek(10 + sum(byte << shift for byte, shift in zip(tag[6:], (21, 14, 7, 0), strict=False)))
    found = _FRAME_COUNT.search(file.read(_FIRST_FRAME))
    file.seek(position)  # FFmpeg continues there
    return found is not None


def check_length(seconds: float, most_minutes: float) -> None:
    """Raise TooLong where a song of `seconds` is longer than `most_minutes`."""
    if seconds > most_minutes * 60:
        raise TooLong(f"The song is longer than {most_minutes:g} minutes, the limit of this service; send it in parts.")


def _tag(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)[:_TAG_LENGTH].strip()
