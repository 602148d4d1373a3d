"""Reads a JSON body with a song in base64: decodes the song into a file piece by piece, and parses the rest.

Memory stays the same however long the song is. The one long string is known by where it stands, as the value of
the key "mp3" of the outermost object; everything else must fit into JSON_ROOM.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, BinaryIO, NoReturn

import pybase64

from msas.errors import BadBase64, NotJson, TooLarge

JSON_ROOM = 1_000_000  # bytes of a body beside the song
_BEFORE_SONG = re.compile(rb'[{,]\s*"mp3"\s*:\s*$')
_TEXT = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)  # what a string holds, up to half an escape at the end
_ESCAPE = 6  # bytes of the longest, \u002b
_SPACE = b" \t\r\n"


def read_json(chunks: Iterable[bytes], song: BinaryIO) -> dict[str, Any]:
    """Return the fields of the JSON object that `chunks` make up; what "mp3" holds is decoded into `song`.

    In place of the song stands the number of its bytes; None where there was none.
    Raises NotJson; BadBase64 where "mp3" is not base64 in a string; TooLarge where the rest exceeds JSON_ROOM.
    """
    scan = _JsonScanner(song)
    for chunk in chunks:
        scan.feed(chunk)
    fields = parse_object(bytes(scan.rest), '{"mp3": "<the song in base64>"}')
    given = fields.get("mp3")
    if scan.found_song and given == "":
        return {**fields, "mp3": scan.decoder.finish()}
    if isinstance(given, str):  # its key was written with escapes, so that it was not known again
        decoder = Base64Decoder(song)
        decoder.feed(json.dumps(given)[1:-1].encode())
        return {**fields, "mp3": decoder.finish()}
    if given is not None:
        raise BadBase64("The field 'mp3' is not a string; put the song into it, in base64.")
    return {**fields, "mp3": None}


class _JsonScanner:
    """Tells strings from what stands between them, and the song from the other strings."""

    def __init__(self, song: BinaryIO) -> None:
        self.decoder, self.found_song = Base64Decoder(song), False
        self.rest = bytearray()  # the body without the song
        self._inside = self._in_song = False  # of any string; of the song's
        self._depth = 0
        self._held = b""  # a backslash whose other half has not come yet

    def feed(self, chunk: bytes) -> None:
        piece, self._held, at = self._held + chunk, b"", 0
        while at < len(piece):
            at = self._through_string(piece, at) if self._inside else self._to_string(piece, at)
            if len(self.rest) > JSON_ROOM:
                raise TooLarge(f"The JSON is larger than {JSON_ROOM // 1000} kB beside the song; leave out the rest.")

    def _to_string(self, piece: bytes, at: int) -> int:
        quote = piece.find(b'"', at)
        end = len(piece) if quote < 0 else quote
        between = piece[at:end]
        self._depth += between.count(b"{") + between.count(b"[") - between.count(b"}") - between.count(b"]")
        self.rest += between
        if quote >= 0:
            self._inside = True
            self._in_song = self._depth == 1 and bool(_BEFORE_SONG.search(self.rest[-100:]))
            if self._in_song and self.found_song:
                raise NotJson("The body has the field 'mp3' twice; send one song at a time.")
            self.found_song |= self._in_song
            self.rest += b'"'
        return end + 1

    def _through_string(self, piece: bytes, at: int) -> int:
        end = _string_end(piece, at)
        if self._in_song:
            self.decoder.feed(piece[at:end])
        else:
            self.rest += piece[at:end]
        if piece[end : end + 1] == b'"':
            self.rest += b'"'
            self._inside = False
        else:
            self._held = piece[end:]
        return end + 1


def _string_end(piece: bytes, at: int) -> int:
    """Return where the string ends that goes on at `at`: at its quote, at half an escape, or with the piece."""
    quote = piece.find(b'"', at)
    end = len(piece) if quote < 0 else quote
    if piece.find(b"\\", at, end) < 0:
        return end
    text = _TEXT.match(piece, at)
    return text.end() if text else at


def parse_object(text: bytes, expected: str) -> dict[str, Any]:
    """Return the JSON object in `text`. Raises NotJson, which tells the caller what is expected."""
    try:
        content = json.loads(text, parse_constant=_refused)
    except (ValueError, RecursionError):
        raise NotJson(f"The body is not JSON; send {expected}.") from None
    if not isinstance(content, dict):
        raise NotJson(f"The body is JSON, but no object; send {expected}.")
    return content


def _refused(constant: str) -> NoReturn:
    """NaN and Infinity are Python's, not JSON's: who is sent them later on could not read them."""
    raise ValueError(constant)


class Base64Decoder:
    """Decodes pieces of a JSON string that may be cut anywhere, save after a backslash.

    Some encoders break base64 into lines, write / as \\/, or + as \\u002B: JSON means the same by them.
    """

    def __init__(self, into: BinaryIO) -> None:
        self._into = into
        self._escape = self._quad = b""  # of each the beginning, whose end has not come yet
        self._size, self._padded = 0, False

    def feed(self, piece: bytes) -> None:
        """Decode a piece. Raises BadBase64."""
        text = self._escape + piece if self._escape else piece
        self._escape = b""
        if (last := text.rfind(b"\\")) >= 0:
            if len(text) - last < _ESCAPE and text[last + 1 : last + 2] == b"u":
                text, self._escape = text[:last], text[last:]
            text = _unescaped(text)
        self._decode(text)

    def finish(self) -> int:
        """Say that no more comes; return how many bytes were decoded. Raises BadBase64."""
        if self._escape or self._quad:
            raise _bad()
        return self._size

    def _decode(self, text: bytes) -> None:
        try:
            whole = self._quads(text)
            song = pybase64.b64decode(whole, validate=True)
        except ValueError:
            raise _bad() from None
        if whole and self._padded:
            raise _bad()
        self._padded = whole.endswith(b"=")
        self._size += len(song)
        self._into.write(song)

    def _quads(self, text: bytes) -> bytes:
        """Return what is complete of `text`, and keep the rest for the next time."""
        text = self._quad + text.translate(None, _SPACE)
        complete = len(text) // 4 * 4
        self._quad = text[complete:]
        return text[:complete]


def _unescaped(text: bytes) -> bytes:
    try:
        found: str = json.loads(b'"%b"' % text)
        return found.encode("ascii")
    except ValueError:
        raise _bad() from None


def _bad() -> BadBase64:
    return BadBase64("The field 'mp3' is not base64; encode the song's bytes with the standard alphabet.")
