"""Base64 as it stands in a JSON string, decoded piece by piece into a file."""

from __future__ import annotations

import json
from typing import BinaryIO

import pybase64

from msas.problem import BadBase64

_ESCAPE = 6  # bytes of the longest, \u002b
_SPACE = b" \t\r\n"


class Base64:
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
