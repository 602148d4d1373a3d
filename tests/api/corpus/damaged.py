"""Cases: songs with damage in them, and headers that do not say what is."""

from __future__ import annotations

import struct

from tests.api.corpus.case import Case, Fails, Refused, Separated
from tests.api.corpus.no_songs import NO_AUDIO_STREAM, NOT_AUDIO, TOO_SHORT
from tests.api.corpus.sound import SECONDS, chunk, encoded, flipped, form, patched, pcm, plain_wav, wav
from tests.api.corpus.tags import frames_of_mp3, id3, title
from tests.api.corpus.ways import bare, in_json
from tests.support.audio import RATE

WHOLE = Separated(SECONDS)
_FLAC_FRAME = 4608 / RATE  # seconds
_NOTHING_DECODED = Fails("too_short")


def _flac_frames() -> list[int]:
    """Return where each frame of the FLAC begins."""
    song, found = encoded("flac"), []
    at = song.find(b"\xff\xf8")
    while at >= 0:
        found.append(at)
        at = song.find(b"\xff\xf8", at + 2)
    return found


def _flac_all_damaged() -> bytes:
    song = encoded("flac")
    for frame in _flac_frames():
        song = patched(song, frame + 20, bytes(byte ^ 0x55 for byte in song[frame + 20 : frame + 40]))
    return song


def _mp3_about(at: int, new: bytes) -> bytes:
    """Return the MP3 with `new` at that place, in bytes, of its first frame's header Info."""
    return patched(encoded("mp3"), encoded("mp3").index(b"Info") + at, new)


def _m4a_about(table: bytes, at: int, new: bytes) -> bytes:
    """Return the M4A with `new` at that place, in bytes, of the content of its table."""
    return patched(encoded("m4a"), encoded("m4a").index(table) + 4 + at, new)


def _nested_m4a() -> bytes:
    inside = b""
    for _ in range(2000):
        inside = struct.pack(">I", len(inside) + 8) + b"moov" + inside
    return encoded("m4a")[:28] + inside


def _mka_lasting(seconds: float) -> bytes:
    return patched(encoded("mka"), encoded("mka").index(b"\x44\x89") + 3, struct.pack(">d", seconds * 1000))


def _flac_of(samples: int) -> bytes:
    """Return the FLAC, which claims to have so many samples."""
    song = encoded("flac")
    return patched(song, 21, bytes([song[21] & 0xF0 | samples >> 32]) + struct.pack(">I", samples & 0xFFFFFFFF))


def _claiming(claimed: int) -> bytes:
    return wav(chunk(b"fmt ", form()), chunk(b"data", pcm(), claimed), claimed=claimed)


DAMAGED: list[Case] = [
    bare(
        "an MP3 with every 500th bit turned over",
        "mp3",
        Separated(0.1, 0.3),
        lambda: flipped(encoded("mp3"), 0.002, 100),
    ),
    bare(
        "an MP3 with 3 kB of chance before it",
        "mp3",
        Separated(0.3, 0.4),
        lambda: flipped(bytes(3000), 0.5) + encoded("mp3"),
    ),
    bare(
        "an MP3 with 3 kB of chance behind it",
        "mp3",
        Separated(0.3, 0.4),
        lambda: encoded("mp3") + flipped(bytes(3000), 0.5),
    ),
    bare("two MP3s glued together", "mp3", Separated(0.6, 0.7), lambda: encoded("mp3") * 2),
    bare(
        "a FLAC with a wrong frame",
        "flac",
        Separated(SECONDS - _FLAC_FRAME, SECONDS),
        lambda: patched(encoded("flac"), _flac_frames()[1] + 50, b"\xde\xad\xbe\xef"),
    ),
    bare("a FLAC whose frames are all wrong", "flac", _NOTHING_DECODED, _flac_all_damaged),
    bare(
        "an AAC with every 5000th bit turned over",
        "aac",
        Separated(0.1, 0.4),
        lambda: flipped(encoded("aac"), 0.0002, 100),
    ),
    bare("a WAV with every 500th bit turned over", "wav", WHOLE, lambda: flipped(plain_wav(), 0.002, 44)),
    bare(
        "an M4A with its index overwritten",
        "m4a",
        NO_AUDIO_STREAM,
        lambda: flipped(encoded("m4a"), 0.5, encoded("m4a").index(b"moov") + 4),
    ),
    bare(
        "an M4A whose sound lies where the file has ended",
        "m4a",
        TOO_SHORT,
        lambda: _m4a_about(b"stco", 8, b"\x7f\xff\xff\xff"),
    ),
    bare("an Ogg with a wrong checksum", "ogg", NOT_AUDIO, lambda: patched(encoded("ogg"), 2000, b"xxxx")),
]

LYING: list[Case] = [
    in_json("a WAV that claims 4 GB", "wav", WHOLE, lambda: _claiming(0xFFFFFFF0)),
    bare("a WAV that claims 0 bytes, as some recorders leave it", "wav", WHOLE, lambda: _claiming(0)),
    bare(
        "a WAV that claims 2 GB of header",
        "wav",
        NOT_AUDIO,
        lambda: wav(chunk(b"fmt ", form(), 0x7FFFFFFF), chunk(b"data", pcm())),
    ),
    bare("a WAV of 0 channels", "wav", NO_AUDIO_STREAM, lambda: plain_wav(channels=0)),
    bare("a WAV of 64 channels", "wav", NOT_AUDIO, lambda: plain_wav(channels=64)),
    bare("a WAV of 65535 channels", "wav", NO_AUDIO_STREAM, lambda: plain_wav(channels=65535)),
    bare("a WAV of 1 sample a second", "wav", NOT_AUDIO, lambda: plain_wav(rate=1)),
    bare("a WAV of 2 thousand million samples a second", "wav", NOT_AUDIO, lambda: plain_wav(rate=0x7FFFFFFF)),
    bare("a WAV of 1000 bits a sample", "wav", NOT_AUDIO, lambda: plain_wav(bits=1000)),
    bare("a WAV in a codec that there is not", "wav", NOT_AUDIO, lambda: plain_wav(tag=0x1234)),
    bare("a WAV that calls its samples MP3", "wav", _NOTHING_DECODED, lambda: plain_wav(tag=0x55)),
    bare("an MP3 that claims 15,000 hours", "mp3", Separated(0.3, 0.4), lambda: _mp3_about(8, b"\x7f\xff\xff\xff")),
    bare("an MP3 that claims a single frame", "mp3", Separated(0.3, 0.4), lambda: _mp3_about(8, b"\0\0\0\x01")),
    bare(
        "an MP3 that wants more cut off than there is",
        "mp3",
        Separated(0, 0.4),
        lambda: _mp3_about(141, b"\xff\xff\xff"),
    ),
    bare(
        "an MP3 whose tag claims 256 MB",
        "mp3",
        NOT_AUDIO,
        lambda: id3(title(b"x"), claimed=0xFFFFFFF) + frames_of_mp3(),
    ),
    bare("a FLAC that claims 68 thousand million samples", "flac", WHOLE, lambda: _flac_of(0xFFFFFFFFF)),
    bare(
        "a FLAC that claims 4 hours, and is large enough",
        "flac",
        Refused(422, "too_long"),
        lambda: _flac_of(4 * 3600 * RATE) + bytes(90_000),
    ),
    bare("a FLAC of blocks of 0 samples", "flac", NO_AUDIO_STREAM, lambda: patched(encoded("flac"), 8, bytes(4))),
    bare(
        "an M4A that claims 2 thousand million pieces",
        "m4a",
        NOT_AUDIO,
        lambda: _m4a_about(b"stsz", 8, b"\x7f\xff\xff\xff"),
    ),
    bare("an M4A of 2000 boxes in each other", "m4a", NOT_AUDIO, _nested_m4a),
    bare("a Matroska that lasts -5 s", "mka", Separated(0.3, 0.4), lambda: _mka_lasting(-5)),
]
