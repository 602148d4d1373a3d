"""A JSON body with a song in base64 inside, read as it comes: the song goes decoded into a file, the rest is parsed.

Memory stays the same however long the song is. The one long string is known by where it stands, as the value of
the key "mp3" of the outermost object; everything else must fit into JSON_ROOM.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, BinaryIO, NoReturn

from msas.problem import BadBase64, NotJson, TooLarge
from rest.encoded import Base64

JSON_ROOM = 1_000_000  # bytes of a body beside the song
_BEFORE_SONG = re.compile(rb'[{,]\s*"mp3"\s*:\s*$')
_TEXT = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)  # what a string holds, up to half an escape at the end


def read_json(chunks: Iterable[bytes], song: BinaryIO) -> dict[str, Any]:
    """Return the fields of the JSON object that `chunks` make up; what "mp3" holds is decoded into `song`.

    In place of the song stands the number of its bytes; None where there was none.
    Raises NotJson; BadBase64 where "mp3" is not base64 in a string; TooLarge where the rest exceeds JSON_ROOM.
    """
    scan = _Scan(song)
    for chunk in chunks:
        scan.feed(chunk)
    fields = parse_object(bytes(scan.rest), '{"mp3": "<the song in base64>"}')
    given = fields.get("mp3")
    if scan.found_song and given == "":
        return {**fields, "mp3": scan.decoder.finish()}
    if isinstance(given, str):  # its key was written with escapes, so that it was not known again
        decoder = Base64(song)
        decoder.feed(json.dumps(given)[1:-1].encode())
        return {**fields, "mp3": decoder.finish()}
    if given is not None:
        raise BadBase64("The field 'mp3' is not a string; put the song into it, in base64.")
    return {**fields, "mp3": None}


class _Scan:
    """Tells strings from what stands between them, and the song from the other strings."""

    def __init__(self, song: BinaryIO) -> None:
        self.decoder, self.found_song = Base64(song), False
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
