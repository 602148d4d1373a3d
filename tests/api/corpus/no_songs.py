"""Cases: files that are no songs, and songs that end too soon."""

from __future__ import annotations

import gzip
import io
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from tests.api.corpus.case import Case, Make, Refused, Separated
from tests.api.corpus.sound import SECONDS, chunk, encoded, form, plain_wav, wav
from tests.api.corpus.tags import cover, id3, png, title
from tests.api.corpus.ways import as_form, bare, base64_of, body, in_json
from tests.support.audio import RATE, video_without_sound

EMPTY = Refused(422, "empty_song")
NOT_AUDIO = Refused(415, "not_audio")
NO_AUDIO_STREAM = Refused(422, "no_audio_stream")
TOO_SHORT = Refused(422, "too_short")

_JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0"
_PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"
_SESSION = b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n"
_MIDI = b"MThd\0\0\0\x06\0\0\0\x01\0`MTrk\0\0\0\x04\0\xff\x2f\0"
_DASH = b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a SYSTEM "file:///etc/hostname">]><MPD>&a;</MPD>'


def _noise(size: int) -> bytes:
    return np.random.default_rng(1).bytes(size)


def _zip() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(zipfile.ZipInfo("song.mp3"), encoded("mp3"))
    return packed.getvalue()


def _film() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return video_without_sound(Path(folder) / "film.mp4").read_bytes()


def _beginning(suffix: str, size: int) -> Make:
    return lambda: encoded(suffix)[:size]


def _half(suffix: str) -> Make:
    return lambda: encoded(suffix)[: len(encoded(suffix)) // 2]


def _without_sound() -> bytes:
    """Return an M4A whose index is whole, and whose sound is cut out."""
    song = encoded("m4a")
    return song[: song.index(b"mdat") + 4] + song[song.index(b"moov") - 4 :]


NO_SONGS: list[Case] = [
    bare("a file of 0 bytes", "mp3", EMPTY, lambda: b""),
    as_form("a form whose file has 0 bytes", "mp3", EMPTY, lambda: b""),
    in_json("a song of 0 bytes in base64", "mp3", EMPTY, lambda: b""),
    bare("a file of one byte", "mp3", NOT_AUDIO, lambda: b"\xff"),
    as_form("a text named .mp3", "mp3", NOT_AUDIO, lambda: b"These are words, not music.\n" * 200),
    as_form("the web page of an error, saved as .mp3", "mp3", NOT_AUDIO, lambda: b"<!doctype html><title>404</title>"),
    bare("100 kB of zeros", "mp3", NOT_AUDIO, lambda: bytes(100_000)),
    bare("100 kB of chance", "mp3", NOT_AUDIO, lambda: _noise(100_000)),
    bare("the beginnings of MP3 frames, one after the other", "mp3", NOT_AUDIO, lambda: b"\xff\xfb\x50\0" * 25_000),
    as_form("a PNG named .mp3", "mp3", NOT_AUDIO, lambda: png(64, 64)),
    as_form("a GIF named .wav", "wav", NOT_AUDIO, lambda: b"GIF89a" + bytes(100)),
    as_form("a JPEG named .mp3, with an MP3 behind it", "mp3", NOT_AUDIO, lambda: _JPEG + encoded("mp3")),
    as_form("a PDF named .mp3", "mp3", NOT_AUDIO, lambda: b"%PDF-1.7\n" + encoded("mp3")),
    bare("a ZIP archive with a song in it", "mp3", NOT_AUDIO, _zip),
    bare("a song compressed with gzip", "mp3", NOT_AUDIO, lambda: gzip.compress(encoded("mp3"), mtime=0)),
    bare("a song in base64 that is not in JSON", "mp3", NOT_AUDIO, lambda: base64_of(encoded("mp3")).encode()),
    bare("a program", "mp3", NOT_AUDIO, lambda: b"\x7fELF\x02\x01\x01" + bytes(1000)),
    bare("a MIDI file", "mid", NOT_AUDIO, lambda: _MIDI),
    bare("a playlist (HLS) that names a file of ours", "m3u8", NOT_AUDIO, lambda: _PLAYLIST),
    bare(
        "a list (ffconcat) that names a file of ours", "mp3", NOT_AUDIO, lambda: b"ffconcat version 1.0\nfile /etc/x\n"
    ),
    bare("a list (DASH) whose entity is a file of ours", "mpd", NOT_AUDIO, lambda: _DASH),
    bare("a session description that names a port of ours", "sdp", NOT_AUDIO, lambda: _SESSION),
    bare("a film without sound", "mp4", NO_AUDIO_STREAM, _film),
    body("a song said to be a picture", "image/png", Refused(415, "unknown_body"), lambda: encoded("mp3")),
    body("a song said to be HTML", "text/html", Refused(415, "unknown_body"), lambda: encoded("mp3")),
]

CUT_SHORT: list[Case] = [
    bare("a WAV cut off in its header", "wav", NOT_AUDIO, lambda: plain_wav()[:30]),
    bare("a WAV with no chunk of samples", "wav", NOT_AUDIO, lambda: wav(chunk(b"fmt ", form()))),
    bare("a WAV with no samples", "wav", TOO_SHORT, lambda: wav(chunk(b"fmt ", form()), chunk(b"data", b""))),
    bare(
        "a WAV of a single sample",
        "wav",
        Separated(1 / RATE),
        lambda: wav(chunk(b"fmt ", form()), chunk(b"data", b"\1\2\3\4")),
    ),
    as_form("a WAV cut off in the middle", "wav", Separated(SECONDS / 2), lambda: plain_wav()[: 44 + 13_230 * 2]),
    bare("an MP3 cut off in the middle", "mp3", Separated(0.1, 0.2), _half("mp3")),
    bare("an MP3 cut off in its first frame", "mp3", NOT_AUDIO, _beginning("mp3", 200)),
    bare("an MP3 of nothing but its tag", "mp3", NOT_AUDIO, lambda: id3(title(b"Silence"), cover(png(64, 64)))),
    bare("a FLAC cut off in its header", "flac", NOT_AUDIO, _beginning("flac", 30)),
    bare("a FLAC cut off before its first frame", "flac", TOO_SHORT, _beginning("flac", 8_288)),
    bare("a FLAC cut off in the middle", "flac", Separated(0.1, 0.2), _beginning("flac", 25_000)),
    bare("an M4A cut off before its index", "m4a", NOT_AUDIO, _half("m4a")),
    bare("an M4A with its index and no sound", "m4a", NOT_AUDIO, _without_sound),
    bare("an Ogg cut off in its second page", "ogg", NOT_AUDIO, _beginning("ogg", 100)),
]
