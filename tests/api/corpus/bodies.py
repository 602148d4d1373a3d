"""Cases: JSON and forms that are none, and options that can not be honoured. No song in them is any good."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

from tests.api.corpus.case import Case, Refused
from tests.api.corpus.no_songs import NOT_AUDIO
from tests.api.corpus.sound import plain_wav
from tests.api.corpus.ways import BOUNDARY, FORM, base64_of, body, end, part

BAD_BASE64 = Refused(400, "bad_base64")
BAD_OPTION = Refused(422, "bad_option")
BAD_REQUEST = Refused(400, "bad_request")
MISSING_SONG = Refused(400, "missing_song")
NOT_JSON = Refused(400, "not_json")
TOO_LARGE = Refused(413, "too_large")
UNKNOWN_BODY = Refused(415, "unknown_body")

_LIMIT = 20_000_000  # bytes; what the service under test takes
_FILE = 'name="file"; filename="song.wav"'


def _json(name: str, outcome: Refused, text: bytes | str) -> Case:
    return body(name, "application/json", outcome, text if isinstance(text, bytes) else text.encode())


def _compressed(name: str, coding: str, text: bytes) -> Case:
    return body(name, "application/json", UNKNOWN_BODY, text, Content_Encoding=coding)


def _callback(name: str, callback: Any) -> Case:
    return _json(name, BAD_OPTION, json.dumps({"mp3": "AAAA", "callback": callback}))


def _form(name: str, outcome: Refused, *parts: bytes, kind: str = FORM) -> Case:
    return body(name, kind, outcome, b"".join(parts))


def _query(name: str, query: str) -> Case:
    return body(name, "audio/wav", BAD_OPTION, plain_wav, f"?{query}")


JSON: list[Case] = [
    _json("an empty body", NOT_JSON, b""),
    _json("a query where JSON is said to be", NOT_JSON, "mp3=abc"),
    _json("JSON that ends in the middle", NOT_JSON, '{"mp3": "AAAA"'),
    _json("JSON with a comma too many", NOT_JSON, '{"mp3": "AAAA",}'),
    _json("JSON in single quotes", NOT_JSON, "{'mp3': 'AAAA'}"),
    _json("two JSON objects", NOT_JSON, '{"mp3": "AAAA"} {"name": "x"}'),
    _json("JSON with two songs", NOT_JSON, '{"mp3": "AAAA", "mp3": "AAAA"}'),
    _json("JSON that is null", NOT_JSON, "null"),
    _json("JSON that is a list", NOT_JSON, '["AAAA"]'),
    _json("JSON that is a string", NOT_JSON, '"AAAA"'),
    _json("bytes that are no text", NOT_JSON, b"\xff\xfe{}"),
    _json("100,000 lists in each other", NOT_JSON, "[" * 100_000),
    _json("100,000 lists in each other, beside a song", NOT_JSON, '{"mp3": "AAAA", "x": ' + "[" * 100_000),
    _json("a number of 5000 digits", NOT_JSON, '{"mp3": "AAAA", "shifts": ' + "9" * 5000 + "}"),
    _json("a number that is none (NaN)", NOT_JSON, '{"mp3": "AAAA", "callback": {"url": "http://a", "data": NaN}}'),
    _json("no song", MISSING_SONG, "{}"),
    _json("null for a song", MISSING_SONG, '{"mp3": null}'),
    _json("a song under another name", MISSING_SONG, '{"MP3": "AAAA"}'),
    _json("a number for a song", BAD_BASE64, '{"mp3": 7}'),
    _json("a list of songs", BAD_BASE64, '{"mp3": ["AAAA"]}'),
    _json("a song that is not base64", BAD_BASE64, '{"mp3": "not base64!"}'),
    _json("base64 with its end missing", BAD_BASE64, '{"mp3": "AAA"}'),
    _json("base64 that goes on after its end", BAD_BASE64, '{"mp3": "AA==AA=="}'),
    _json("base64 of URLs", BAD_BASE64, '{"mp3": "-_-_"}'),
    _json("letters that base64 has not", BAD_BASE64, '{"mp3": "ÄÖÜ="}'),
    _json("a data: address for a song", BAD_BASE64, '{"mp3": "data:audio/mpeg;base64,AAAA"}'),
    _json("three zero bytes in base64", NOT_AUDIO, '{"mp3": "AAAA"}'),
    _json("more than 1 MB beside the song", TOO_LARGE, '{"mp3": "AAAA", "x": "' + "y" * 1_100_000 + '"}'),
    body("a song just over the limit, in base64", "application/json", TOO_LARGE, lambda: _in_base64(_LIMIT + 1)),
    body("40 MB of spaces", "application/json", TOO_LARGE, lambda: b" " * 40_000_000),
    _compressed("10 MB of spaces as 10 kB of gzip, which is never inflated", "gzip", gzip.compress(b" " * 10_000_000)),
    _compressed("the same as deflate", "deflate", zlib.compress(b" " * 10_000_000)),
    _compressed("the same as gzip in gzip", "gzip, gzip", gzip.compress(gzip.compress(b" " * 10_000_000))),
]

FORMS: list[Case] = [
    _form("an empty form", BAD_REQUEST, b""),
    _form("a form that does not say its boundary", BAD_REQUEST, part(_FILE, b"x"), end(), kind="multipart/form-data"),
    _form("a form without that boundary in it", BAD_REQUEST, b"x" * 1000),
    _form("a form without an end", BAD_REQUEST, part(_FILE, b"x")),
    _form("a part without headers", BAD_REQUEST, f"--{BOUNDARY}\r\n\r\nabc\r\n".encode(), end()),
    _form("a part with 100 kB of headers", NOT_AUDIO, part(_FILE, b"x", "X: " + "y" * 100_000 + "\r\n"), end()),
    _form("a form without a file", MISSING_SONG, part('name="format"', b"wav"), end()),
    _form("a form with the song in another field", MISSING_SONG, part('name="song"; filename="a"', b"x"), end()),
    _form("a form with the song as text", MISSING_SONG, part('name="file"', b"x"), end()),
    _form("a form with two songs", MISSING_SONG, part(_FILE, b"x"), part(_FILE, b"x"), end()),
    _form("a form of 150 fields", TOO_LARGE, *[part('name="a"', b"b")] * 150, end()),
    _form("a form with a field of 1.1 MB", TOO_LARGE, part('name="a"', b"b" * 1_100_000), part(_FILE, b"x"), end()),
    _form(
        "a form with a callback that is no JSON", BAD_OPTION, part(_FILE, b"x"), part('name="callback"', b"{"), end()
    ),
    _form(
        "a multipart body that is no form", UNKNOWN_BODY, part(_FILE, b"x"), end(), kind="multipart/mixed; boundary=x"
    ),
    body("a form with a song just over the limit", FORM, TOO_LARGE, lambda: part(_FILE, bytes(_LIMIT + 1)) + end()),
    body("a song just over the limit", "audio/wav", TOO_LARGE, lambda: bytes(_LIMIT + 1)),
]

OPTIONS: list[Case] = [
    _json("a model that is not offered", BAD_OPTION, '{"mp3": "AAAA", "model": "nonesuch"}'),
    _json("a model that is a path", BAD_OPTION, '{"mp3": "AAAA", "model": "../../etc/passwd"}'),
    _json("a model that is a list", BAD_OPTION, '{"mp3": "AAAA", "model": ["lite"]}'),
    _json("a model with half a character for a name", BAD_OPTION, '{"mp3": "AAAA", "model": "\\ud800"}'),
    _json("a model with 5000 letters", BAD_OPTION, '{"mp3": "AAAA", "model": "' + "x" * 5000 + '"}'),
    _json("a format that is not offered", BAD_OPTION, '{"mp3": "AAAA", "format": "ogg"}'),
    _json("a stem that there is not", BAD_OPTION, '{"mp3": "AAAA", "stems": ["piano"]}'),
    _json("stems in five lists in each other", BAD_OPTION, '{"mp3": "AAAA", "stems": [[[[["vocals"]]]]]}'),
    _json("an infinite number", BAD_OPTION, '{"mp3": "AAAA", "shifts": 1e400}'),
    _json("a negative overlap", BAD_OPTION, '{"mp3": "AAAA", "overlap": -1}'),
    _callback("a callback that is an address", "http://localhost"),
    _callback("a callback without an address", {}),
    _callback("a callback to a file", {"url": "file:///etc/passwd"}),
    _callback("a callback to a script", {"url": "javascript:alert(1)"}),
    _callback("a callback to half an address", {"url": "http://[::1"}),
    _callback("a callback with 70 kB to be returned", {"url": "http://a", "data": "x" * 70_000}),
    _query("an infinite overlap", "overlap=inf"),
    _query("one and a half shifts", "shifts=1.5"),
    _query("a bitrate that MP3 has not", "mp3_bitrate=321"),
    _query("a bit depth for MP3", "bit_depth=16"),
    _query("32 bits for FLAC", "format=flac&bit_depth=32"),
    _query("a format that is a zero byte", "format=%00"),
    _query("a format in broken UTF-8", "format=%ff"),
    _query("two models", "model=lite&model=lite"),
    _query("a residual that may be", "residual=maybe"),
    _query("stems and two_stems at once", "stems=vocals&two_stems=bass"),
]


def _in_base64(size: int) -> bytes:
    return b'{"mp3": "' + base64_of(bytes(size)).encode() + b'"}'
