"""Opening a song: which files we take, and what we say of those that we don't."""

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

# Only self-contained files. FFmpeg also knows playlists and scripts (hls, concat, ffmetadata, ...) that make
# it open other files and addresses, named by whoever wrote the upload.
_CONTAINERS = (
    "mp3,wav,w64,aiff,flac,ogg,aac,ac3,eac3,amr,ape,asf,au,avi,caf,flv,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,"
    "mpc,mpc8,mpeg,mpegts,tta,wv,dsf,oma,loas,mp2"
)
_LOWEST_RATE, _HIGHEST_RATE = 4_000, 768_000  # Hz
_MIXABLE = (*range(1, 9), 10, 12, 14, 16, 24)  # channels; of other numbers FFmpeg knows no order of speakers
# A second of silence in the thriftiest format, FLAC, takes more bytes. Who claims more seconds than that lies.
_LEAST_BYTES_A_SECOND = 8
# Files that begin so are something else, even where MP3 frames lie within: FFmpeg would find and glue those.
_SOMETHING_ELSE = {
    b"PK\x03\x04": "a ZIP archive",
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"\x1f\x8b": "a gzip archive",
    b"%PDF": "a PDF document",
    b"\x89PNG": "a picture",
    b"GIF8": "a picture",
    b"\xff\xd8\xff": "a picture",
}
_WITHOUT_LENGTH = ("aac", "loas")  # formats whose files never tell their length
# An MP3 tells its length by a count of frames in its first frame, in the tag of Xing and LAME (`Info`) or in that of
# Fraunhofer's encoder (`VBRI`); 0 was never filled in. FFmpeg reads both: libavformat/mp3dec.c.
_FRAME_COUNT = re.compile(rb"(?:(?:Xing|Info).{4}|VBRI.{10})(?!\0{4})", re.DOTALL)
_FIRST_FRAME = 4096  # bytes; the largest frame has 1,441, and some files have a few stray bytes before it
TAGS = ("title", "artist", "album")
_TAG_LENGTH = 500
_OPTIONS = {"format_whitelist": _CONTAINERS, "protocol_whitelist": ""}


@dataclass(frozen=True)
class SongInfo:
    """What a song's container says: its format, sample rate in Hz, channels, length in seconds if it says a
    credible one, and its tags, of which only title, artist and album are kept."""

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
    _check_beginning(file.read(8))
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
        if codec.channels not in _MIXABLE:
            raise NotAudio(f"The song's {codec.channels} channels can not be mixed down; send it in stereo.")
        yield container, stream


def _check_beginning(beginning: bytes) -> None:
    if not beginning:
        raise EmptySong("The song has no bytes at all; check the file, then send it again.")
    for mark, what in _SOMETHING_ELSE.items():
        if beginning.startswith(mark):
            raise NotAudio(f"The file is {what}, whatever its name; send the song itself.")


def probe(file: IO[bytes], most_minutes: float) -> SongInfo:
    """Read what the song's container says, without decoding it.

    Raises as `open_song` does, TooLong where it claims more than `most_minutes`, TooShort where no sound follows.
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
    """Return what to say of a song in which nothing can be decoded."""
    return TooShort("Not one sample of sound could be decoded; check that the file plays, then send it again.")


def describe(file: IO[bytes], container: InputContainer, stream: AudioStream) -> SongInfo:
    """Say what the container, opened from `file`, and its audio stream claim to be."""
    found = {name.lower(): value for name, value in {**stream.metadata, **container.metadata}.items()}
    claimed = (container.duration or 0) / av.time_base if _tells_length(file, container.format.name) else 0.0
    return SongInfo(
        container=container.format.name,
        rate=stream.codec_context.sample_rate,
        channels=stream.codec_context.channels,
        seconds=claimed if 0 < claimed <= container.size / _LEAST_BYTES_A_SECOND else None,
        tags={name: text for name in TAGS if (text := _tag(found.get(name, "")))},
    )


def _tells_length(file: IO[bytes], container: str) -> bool:
    """Say whether the song tells its length. If it does not, FFmpeg guesses from the bit rate of the first frames."""
    if container != "mp3":
        return container not in _WITHOUT_LENGTH
    position = file.tell()
    file.seek(0)
    tag = file.read(10)
    if tag.startswith(b"ID3"):  # the tag's size is in four bytes of seven bits
        file.seek(10 + sum(byte << shift for byte, shift in zip(tag[6:], (21, 14, 7, 0), strict=False)))
    found = _FRAME_COUNT.search(file.read(_FIRST_FRAME))
    file.seek(position)  # where FFmpeg goes on reading
    return found is not None


def check_length(seconds: float, most_minutes: float) -> None:
    """Raise TooLong where a song of `seconds` is longer than `most_minutes`."""
    if seconds > most_minutes * 60:
        raise TooLong(
            f"The song is longer than the {most_minutes:g} minutes that this service takes; send it in parts."
        )


def _tag(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)[:_TAG_LENGTH].strip()
