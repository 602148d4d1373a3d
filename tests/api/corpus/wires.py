"""Cases: requests that break HTTP's rules, and paths and names that want to be more than they are."""

from __future__ import annotations

from collections.abc import Callable

from tests.api.corpus.bodies import BAD_REQUEST, MISSING_SONG, NOT_JSON, TOO_LARGE
from tests.api.corpus.case import Case, Closed, Refused, Separated
from tests.api.corpus.sound import SECONDS, plain_wav
from tests.api.corpus.ways import EXACT, FORM, QUERY, SEPARATE, body, call, end, in_json, part, post, request, wire

NOT_FOUND = Refused(404, "not_found")
UNKNOWN_SONG = Refused(404, "unknown_song")
NOT_ALLOWED = Refused(405, "method_not_allowed")

_HASH = "0" * 56
_HELLO = b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(200)


def _headed(name: str, outcome: Refused, *lines: str, text: bytes = b"{}") -> Case:
    """Return the case of a POST with these header lines, followed by `text`."""
    head = f"POST {SEPARATE} HTTP/1.1\r\nHost: corpus\r\nConnection: close\r\nContent-Type: application/json\r\n"
    return wire(name, outcome, (head + "".join(f"{line}\r\n" for line in lines)).encode("latin-1") + b"\r\n" + text)


def _chunked(name: str, outcome: Refused, text: bytes) -> Case:
    return _headed(name, outcome, "Transfer-Encoding: chunked", text=text)


def _broken_off(kind: str) -> Callable[[], bytes]:
    """Return a POST of a song that announces one byte more than comes."""

    def make() -> bytes:
        song = plain_wav()
        headers = {"Content-Type": kind, "Content-Length": str(len(song) + 1)}
        return request("POST", SEPARATE, headers, song)

    return make


def _broken_off_in_chunks() -> bytes:
    """Return a POST in chunks, large enough that much of it is read before it breaks off; no last chunk comes."""
    song = plain_wav() + bytes(600_000)
    pieces = (song[at : at + 50_000] for at in range(0, len(song), 50_000))
    sent = b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces)
    return request("POST", SEPARATE, {"Content-Type": "audio/wav", "Transfer-Encoding": "chunked"}, sent)


HTTP: list[Case] = [
    wire("no request, but lines", BAD_REQUEST, b"\r\n\r\n"),
    wire("a greeting in TLS", Closed(), _HELLO),
    wire("a request that ends in its headers", Closed(), f"POST {SEPARATE} HTTP/1.1\r\nHos".encode()),
    wire("HTTP of version 9.9", BAD_REQUEST, f"POST {SEPARATE} HTTP/9.9\r\nHost: x\r\n\r\n".encode()),
    wire("HTTP of version 0.9", BAD_REQUEST, b"GET /\r\n\r\n"),
    wire("the beginning of HTTP/2", BAD_REQUEST, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    wire("bytes that are no address", BAD_REQUEST, b"GET /apiv1/status/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n"),
    call("an address of 8000 letters", "GET", "/" + "a" * 8000, Refused(414, "bad_request")),
    call("a method that there is not", "BREW", SEPARATE, NOT_ALLOWED),
    call("a GET of what is posted to", "GET", SEPARATE, NOT_ALLOWED),
    call("a method that is no word", "G@T", "/", BAD_REQUEST),
    _headed("a header without a colon", BAD_REQUEST, "Evil"),
    _headed("a header with a space in its name", BAD_REQUEST, "Evil : x"),
    _headed("a header with a zero byte", BAD_REQUEST, "Evil: a\0b"),
    _headed("a header that is folded", BAD_REQUEST, "Evil: a\r\n b"),
    _headed("32 MB of header", Refused(431, "bad_request"), "X: " + "a" * 32_000_000),
    _headed("1000 headers", Refused(431, "bad_request"), *(f"X{number}: a" for number in range(1000))),
    _headed("an expectation that nobody has", Refused(417, "bad_request"), "Expect: magic"),
    body("a media type of 5000 letters", "text/" + "x" * 5000, Refused(415, "unknown_body"), b"{}"),
    _headed("no length, so that nothing is read", NOT_JSON),
    _headed("a length below zero", BAD_REQUEST, "Content-Length: -5"),
    _headed("a length that is no number", BAD_REQUEST, "Content-Length: abc"),
    _headed("two lengths", BAD_REQUEST, "Content-Length: 2", "Content-Length: 3"),
    _headed("a length and chunks", BAD_REQUEST, "Content-Length: 2", "Transfer-Encoding: chunked"),
    _headed("a length of 30 digits", TOO_LARGE, "Content-Length: " + "9" * 30),
    _headed("a length that is too short", NOT_JSON, "Content-Length: 1"),
    wire("a song shorter than its length", BAD_REQUEST, _broken_off("audio/wav")),
    wire("JSON shorter than its length", BAD_REQUEST, _broken_off("application/json")),
    wire("a form shorter than its length", BAD_REQUEST, _broken_off(FORM)),
    wire("a song in chunks that breaks off", BAD_REQUEST, _broken_off_in_chunks),
    _chunked("chunks as they should be, and no song", MISSING_SONG, b"2\r\n{}\r\n0\r\n\r\n"),
    _chunked("a chunk whose length is no number", BAD_REQUEST, b"zz\r\n{}\r\n0\r\n\r\n"),
    _chunked("a chunk of less than nothing", BAD_REQUEST, b"-2\r\n{}\r\n0\r\n\r\n"),
    _chunked("a chunk longer than it says", BAD_REQUEST, b"1\r\n{}\r\n0\r\n\r\n"),
    _chunked("a chunk that says to have 2^160 bytes", BAD_REQUEST, b"f" * 40 + b"\r\n{}\r\n0\r\n\r\n"),
    _chunked("a chunk with 32 MB beside its length", BAD_REQUEST, b"2;" + b"x" * 32_000_000 + b"\r\n{}\r\n0\r\n\r\n"),
    _headed("a coding that there is not", Refused(501, "bad_request"), "Transfer-Encoding: xyz"),
    _headed("chunks in chunks", BAD_REQUEST, "Transfer-Encoding: chunked, chunked", text=b"2\r\n{}\r\n0\r\n\r\n"),
]

PATHS: list[Case] = [
    call("a hash that nobody has", "GET", f"/apiv1/status/{_HASH}", UNKNOWN_SONG),
    call("a hash that is too short", "GET", "/apiv1/status/abc", UNKNOWN_SONG),
    call("a hash of digits from another script", "GET", "/apiv1/status/" + "%EF%BC%90" * 56, UNKNOWN_SONG),
    call("a hash and a zero byte", "GET", f"/apiv1/status/{_HASH}%00", UNKNOWN_SONG),
    call("a hash and a line break", "GET", f"/apiv1/status/{_HASH}%0d%0aX-Evil:%201", UNKNOWN_SONG),
    call("a hash that is a pattern", "GET", "/apiv1/status/" + "%2A" * 56, UNKNOWN_SONG),
    call("a hash in broken UTF-8", "GET", "/apiv1/status/%ff%fe", UNKNOWN_SONG),
    call("a hash that leads upwards", "GET", "/apiv1/status/../../etc/passwd", NOT_FOUND),
    call("a hash that leads upwards, disguised", "GET", "/apiv1/status/%2e%2e%2f%2e%2e%2fetc%2fpasswd", NOT_FOUND),
    call("a hash that leads upwards in Windows' way", "GET", "/apiv1/track/..%5c..%5c/vocals", UNKNOWN_SONG),
    call("a stem that leads to another bucket", "GET", f"/apiv1/track/{_HASH}/..%2f..%2fqueue", NOT_FOUND),
    call("an archive that leads upwards", "GET", "/apiv1/archive/..%2f..%2fetc%2fpasswd.zip", NOT_FOUND),
    call("an archive of another kind", "GET", f"/apiv1/archive/{_HASH}.tar", UNKNOWN_SONG),
    call("the removal of what leads upwards", "DELETE", "/apiv1/remove/..%2f..%2foutput", NOT_FOUND),
    call("the removal of everything", "DELETE", "/apiv1/remove/%2A", UNKNOWN_SONG),
    call("a path of 3000 letters", "GET", "/apiv1/" + "a" * 3000, NOT_FOUND),
]


def _named(name: str, query: str, known_as: str) -> Case:
    outcome = Separated(SECONDS, named=known_as)
    return wire(name, outcome, lambda: post("audio/wav", plain_wav(), f"{QUERY}&name={query}"))


def _in_form(name: str, given: str, known_as: str) -> Case:
    fields = b"".join(part(f'name="{option}"', value.encode()) for option, value in EXACT.items())

    def make() -> bytes:
        return post(FORM, fields + part(f'name="file"; filename="{given}"', plain_wav()) + end())

    return wire(name, Separated(SECONDS, named=known_as), make)


def _in_json(name: str, given: str, known_as: str) -> Case:
    return in_json(name, "wav", Separated(SECONDS, named=known_as), plain_wav, {"name": given})


NAMES: list[Case] = [
    _in_form("a file name that leads upwards", "../../etc/passwd.wav", "passwd"),
    _in_form("a file name of Windows", "C:\\\\Music\\\\song.wav", "song"),
    _in_json("a name with a header in it", 'x"; a=\r\nX-Evil: 1.wav', 'x"; a=X-Evil: 1'),
    _named("a name with a header in it, in the address", "a%0d%0aX-Evil:%201.wav", "aX-Evil: 1"),
    _in_json("a name that turns what follows round", "abc\u202e3pm.wav", "abc3pm"),
    _in_json("a name of 10,000 letters, of which 200 are kept", "ä" * 10_000, "ä" * 200),
    _in_json("a name of half a character", "\ud800", ""),
]
