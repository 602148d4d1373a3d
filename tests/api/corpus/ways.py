"""The ways in which a case is sent, each as the bytes of one HTTP request."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from tests.api.corpus.case import Case, Make, Outcome

SEPARATE = "/apiv1/separate"
# Songs that may be separated are asked for so: exact to the sample, and small.
EXACT: Mapping[str, str] = {"format": "wav", "bit_depth": "32", "stems": "vocals"}
QUERY = "?" + "&".join(f"{name}={value}" for name, value in EXACT.items())
BOUNDARY = "corpus"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
_TYPES = {"mp3": "audio/mpeg", "wav": "audio/wav", "flac": "audio/flac", "m4a": "audio/mp4", "ogg": "audio/ogg"}


def request(method: str, target: str, headers: Mapping[str, str], body: bytes | None = None) -> bytes:
    """Return a whole request. The length of a `body` is announced as it is, unless `headers` say otherwise."""
    length = {} if body is None or "Transfer-Encoding" in headers else {"Content-Length": str(len(body))}
    every = {"Host": "corpus", "Connection": "close", **length, **headers}
    head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in every.items())
    return head.encode("latin-1") + b"\r\n" + (body or b"")


def post(kind: str, body: bytes, query: str = "", **headers: str) -> bytes:
    """Return a POST of a song of the media type `kind`; an underscore in a header's name stands for a hyphen."""
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return request("POST", SEPARATE + query, {"Content-Type": kind, **more}, body)


def bare(name: str, suffix: str, outcome: Outcome, make: Make) -> Case:
    """Return the case of a song that is the body itself."""
    kind = _TYPES.get(suffix, "application/octet-stream")
    return Case(name, kind, outcome, lambda: post(kind, make(), QUERY), make, suffix)


def as_form(name: str, suffix: str, outcome: Outcome, make: Make) -> Case:
    """Return the case of a song in a form, under a file name that ends in `suffix`."""

    def wire() -> bytes:
        fields = b"".join(part(f'name="{option}"', value.encode()) for option, value in EXACT.items())
        return post(FORM, fields + part(f'name="file"; filename="song.{suffix}"', make()) + end())

    return Case(name, f"form, `song.{suffix}`", outcome, wire, make, suffix)


def in_json(name: str, suffix: str, outcome: Outcome, make: Make, more: Mapping[str, Any] | None = None) -> Case:
    """Return the case of a song in JSON, in base64, with `more` fields beside it."""

    def wire() -> bytes:
        return post("application/json", json.dumps({"mp3": base64_of(make()), **EXACT, **(more or {})}).encode())

    return Case(name, "JSON", outcome, wire, make, suffix)


def body(name: str, kind: str, outcome: Outcome, text: bytes | Make, query: str = "", **headers: str) -> Case:
    """Return the case of a body that is sent as it stands."""
    make: Callable[[], bytes] = (lambda: text) if isinstance(text, bytes) else text
    return Case(name, kind.partition(";")[0][:40], outcome, lambda: post(kind, make(), query, **headers))


def wire(name: str, outcome: Outcome, text: bytes | Make) -> Case:
    """Return the case of bytes that may be no HTTP at all."""
    make: Callable[[], bytes] = (lambda: text) if isinstance(text, bytes) else text
    return Case(name, "bytes", outcome, make)


def call(name: str, method: str, target: str, outcome: Outcome) -> Case:
    """Return the case of a request without a body."""
    return Case(name, method, outcome, lambda: request(method, target, {}))


def part(about: str, content: bytes, more: str = "") -> bytes:
    """Return one part of a form; `about` says what follows "form-data;"."""
    head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; {about}\r\n{more}\r\n"
    return head.encode() + content + b"\r\n"


def end() -> bytes:
    return f"--{BOUNDARY}--\r\n".encode()


def base64_of(song: bytes) -> str:
    return base64.b64encode(song).decode()
