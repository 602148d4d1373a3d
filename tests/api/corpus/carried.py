"""Cases: what songs carry along: tags, covers, and samples that are no numbers."""

from __future__ import annotations

import struct

import numpy as np

from tests.api.corpus.case import Case, Make, Separated
from tests.api.corpus.damaged import WHOLE
from tests.api.corpus.no_songs import NOT_AUDIO
from tests.api.corpus.sound import encoded, of_floats, wave
from tests.api.corpus.tags import cover, flac_comments, flac_with, frames_of_mp3, id3, png, title
from tests.api.corpus.ways import as_form, bare

_EITHER = Separated(0.3, 0.4)  # without its header, an MP3 decodes to whole frames
_APE = b"APETAGEX" + struct.pack("<IIII", 2000, 0xFFFFFFF0, 0xFFFFFFFF, 0) + bytes(8)


def _tagged(*frames: bytes) -> bytes:
    return id3(*frames) + frames_of_mp3()


def _many_comments() -> bytes:
    return flac_with(flac_comments(*(f"A{number}=1".encode() for number in range(60_000))))


def _floats(value: float, share: slice = slice(None), bits: int = 32) -> Make:
    def make() -> bytes:
        samples = wave().astype(f"f{bits // 8}")
        samples[:, share] = value
        return of_floats(samples, bits)

    return make


CARRIED: list[Case] = [
    as_form("an MP3 with a title of 2 MB", "mp3", _EITHER, lambda: _tagged(title(b"x" * 2_000_000))),
    as_form("an MP3 with a cover of 10 MB", "mp3", _EITHER, lambda: _tagged(cover(b"\xff\xd8" + bytes(10_000_000)))),
    bare(
        "an MP3 whose cover claims 30,000 x 30,000 pixels", "mp3", _EITHER, lambda: _tagged(cover(png(30_000, 30_000)))
    ),
    bare("an MP3 with 200 covers", "mp3", _EITHER, lambda: _tagged(*[cover(png(8, 8))] * 200)),
    bare("an MP3 whose title is not UTF-8", "mp3", _EITHER, lambda: _tagged(title(b"\xff\xfe\xfd"))),
    bare(
        "an MP3 with line breaks and escapes in its title",
        "mp3",
        _EITHER,
        lambda: _tagged(title(b"a\r\nX-Evil: 1\x1b[31m")),
    ),
    bare(
        "an MP3 with 1000 tags, one after the other", "mp3", _EITHER, lambda: id3(title(b"x")) * 1000 + frames_of_mp3()
    ),
    bare("an MP3 whose APE tag claims 4 thousand million fields", "mp3", _EITHER, lambda: encoded("mp3") + _APE),
    bare("a FLAC with comments of 60,000 names, which would take FFmpeg a minute", "flac", NOT_AUDIO, _many_comments),
    bare(
        "a FLAC with line breaks in its title", "flac", WHOLE, lambda: flac_with(flac_comments(b"TITLE=a\r\nX-Evil: 1"))
    ),
]

SAMPLES: list[Case] = [
    bare(
        "a WAV with samples that are no numbers (NaN): they are taken as silence",
        "wav",
        WHOLE,
        _floats(np.nan, slice(100, 2000)),
    ),
    bare("a WAV of nothing but NaN", "wav", WHOLE, _floats(np.nan)),
    bare("a WAV with infinite samples", "wav", WHOLE, _floats(np.inf, slice(100, 200))),
    bare("a WAV with samples of 1e38", "wav", WHOLE, _floats(1e38, slice(100, 200))),
    bare("a WAV with samples of 1e308, in 64 bits", "wav", WHOLE, _floats(1e308, slice(100, 200), bits=64)),
    bare("a WAV of samples so small that arithmetic slows down", "wav", WHOLE, _floats(1e-40)),
    bare("a WAV of silence", "wav", WHOLE, _floats(0)),
]
