"""Receives request bodies: a song (JSON, form, bare bytes) into a temporary file, or a list; cuts off slow senders."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO, Any, BinaryIO, cast

from flask import Request, g
from gevent import Timeout, sleep
from gunicorn.http.errors import ParseException
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser

from msas.errors import BadOption, BadRequest, EmptySong, MissingSong, TooLarge, UnknownBody
from rest.services import services
from rest.uploads.json_upload import JSON_ROOM, parse_object, read_json

BARE = ("audio/", "video/", "application/octet-stream", "application/ogg")
FORM = "multipart/form-data"
# `curl -d` calls whatever it sends a form, and some callers call it nothing.
JSON = ("application/json", "text/json", "application/x-www-form-urlencoded", "")
_BASE64_OVERHEAD = 4 / 3
_CHUNK = 64 * 1024
_MOST_PARTS = 100
_BODY_SECONDS, _MIN_BYTES_PER_SECOND = 30.0, 8_000  # a body must keep this rate, with 30 s of credit


@dataclass(frozen=True)
class Upload:
    """A song that has come in whole: an open file at its beginning, its size in bytes, and what was said with it."""

    song: BinaryIO
    size: int
    fields: dict[str, Any]


@contextmanager
def receive(request: Request, most_mb: int) -> Iterator[Upload]:
    """Take the song in `request` into a file that has no name and vanishes with the block, however that ends.

    Raises TooLarge beyond `most_mb`, EmptySong, MissingSong, UnknownBody, or what `read_json` does.
    """
    most = int(most_mb * 1e6)
    with TemporaryFile() as unnamed, services().capacity.spooling() as count_spooled:
        file = cast(BinaryIO, unnamed)
        kind = request.mimetype
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise UnknownBody("The body is compressed; send it as it is, without a Content-Encoding.")
        if kind == FORM:
            fields = _form(request, file, RequestBody(request, most + JSON_ROOM, _too_large(most_mb), count_spooled))
        elif kind in JSON:
            body = RequestBody(request, int(most * _BASE64_OVERHEAD) + JSON_ROOM, _too_large(most_mb), count_spooled)
            fields = read_json(body.chunks(), file)
            if fields.pop("mp3") is None:
                raise MissingSong("The field 'mp3' is missing; put the song into it, in base64.")
        elif kind.startswith(BARE):
            fields = _with_callback(form_fields(request.args))
            for chunk in RequestBody(request, most, _too_large(most_mb), count_spooled).chunks():
                file.write(chunk)
        else:
            known = "JSON with the song in base64, a multipart form with a 'file', or audio/*"
            raise UnknownBody(f"The body is {kind[:80]}; send {known}.")
        size = file.tell()
        if not size:
            raise EmptySong("The song has no bytes at all; check the file, then send it again.")
        if size > most:
            raise _too_large(most_mb)
        file.seek(0)
        yield Upload(file, size, fields)


class RequestBody(io.RawIOBase):
    """The request's body. Raises `too_large` beyond `most` bytes, BadRequest where it breaks off.

    `count_spooled` is told the size of each chunk, and raises TooBusy where the disk has no room for it.
    """

    def __init__(
        self, request: Request, most: int, too_large: TooLarge, count_spooled: Callable[[int], None] | None = None
    ) -> None:
        self._input: IO[bytes] = request.environ["wsgi.input"]
        self._announced, self._most, self._too_large = request.content_length, most, too_large
        self._count, self._count_spooled = 0, count_spooled
        if (self._announced or 0) > most:
            raise too_large
        if count_spooled:
            services().capacity.check_room(self._announced or 0)
        self._began = time.monotonic()

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        sleep(0)  # lets other requests proceed, however fast this sender is
        credit = _BODY_SECONDS + self._count / _MIN_BYTES_PER_SECOND
        try:
            with Timeout(max(self._began + credit - time.monotonic(), 0), TimeoutError()):
                chunk = self._input.read(_CHUNK if size is None or size < 0 else size)
        except ParseException:
            g.body_is_malformed = True
            raise BadRequest("The body does not follow HTTP's rules for chunks; let a library send it.") from None
        except OSError:  # the caller is gone, is too slow, or has ended chunks without the last one
            raise self._broken_off() from None
        self._count += len(chunk)
        if self._count_spooled:
            self._count_spooled(len(chunk))
        services().metrics.received.inc(len(chunk))
        if self._count > self._most:
            raise self._too_large
        if not chunk and self._announced is not None and self._count < self._announced:
            raise self._broken_off()
        return chunk

    def _broken_off(self) -> BadRequest:
        whole = "its last chunk" if self._announced is None else f"the {self._announced} bytes announced"
        return BadRequest(f"The body broke off after {self._count} bytes, before {whole}; send it again.")

    def chunks(self) -> Iterator[bytes]:
        while chunk := self.read(_CHUNK):
            yield chunk


def read_list(request: Request, field: str, example: str, most: int, most_bytes: int) -> list[str]:
    """Return the list of strings in this field of the request's JSON object, of at most `most_bytes`.

    Raises TooLarge; NotJson; BadOption where it is not such a list, or has more than `most` entries.
    """
    too_large = TooLarge(f"The JSON is larger than {most_bytes // 1000} kB; send at most {most} {field}.")
    body = b"".join(RequestBody(request, most_bytes, too_large).chunks())
    found = parse_object(body, example).get(field)
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise BadOption(f"The field '{field}' must be a list of strings; send {example}.")
    if len(found) > most:
        raise BadOption(f"The field '{field}' has {len(found)} entries; send at most {most} at once.")
    return found


def _form(request: Request, file: BinaryIO, body: RequestBody) -> dict[str, Any]:
    """Read a multipart form; its part `file` goes into `file`, further files nowhere."""
    first = True

    def place(*_: object, **__: object) -> IO[bytes]:
        nonlocal first
        chosen, first = (file, False) if first else (_Nowhere(), False)
        return cast(IO[bytes], chosen)

    parser = FormDataParser(place, max_form_memory_size=JSON_ROOM, max_form_parts=_MOST_PARTS, silent=False)
    try:
        _, form, files = parser.parse(cast(IO[bytes], body), FORM, request.content_length, request.mimetype_params)
    except RequestEntityTooLarge:
        raise TooLarge("The form has too many or too long fields beside the file; send fewer.") from None
    except ValueError:
        raise BadRequest("The form is broken; let a library write it, or send the song as audio/*.") from None
    given: list[FileStorage] = [found for _, found in files.items(multi=True)]
    if [found.name for found in given] != ["file"]:
        raise MissingSong("The form must hold one file, in the field 'file'; send one song at a time.")
    file.seek(0, io.SEEK_END)  # the parser went back to the beginning; `receive` asks for the size by `tell`
    fields = form_fields(form)
    fields.setdefault("name", given[0].filename or "")
    return _with_callback(fields)


class _Nowhere(io.RawIOBase):
    def write(self, chunk: Any) -> int:
        return len(chunk)

    def seek(self, offset: int, whence: int = 0) -> int:  # noqa: ARG002
        return 0


def form_fields(given: MultiDict[str, str]) -> dict[str, Any]:
    """Return fields that came as text; one that came several times is a list."""
    return {name: values[0] if len(values) == 1 else values for name, values in given.lists()}


def _with_callback(fields: dict[str, Any]) -> dict[str, Any]:
    """Read the callback, which comes as JSON where all fields are text."""
    if isinstance(fields.get("callback"), str):
        with suppress(ValueError, RecursionError):
            fields["callback"] = json.loads(fields["callback"])
    return fields


def _too_large(most_mb: int) -> TooLarge:
    return TooLarge(f"The song is larger than this service takes; send one of at most {most_mb} MB.")
