"""Sends a file, or the range of it that the request asks for: Range, If-Range, If-None-Match, ETag."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from urllib.parse import quote

from flask import Response, request
from werkzeug.datastructures import ContentRange
from werkzeug.http import is_resource_modified, quote_etag

from msas.errors import BadRange


def send_file(
    open_range: Callable[[int, int], Iterable[bytes]], size: int, etag: str, content_type: str, file_name: str
) -> Response:
    """Send a file of `size` bytes as a download; `open_range(start, length)` returns that part of it.

    Honours Range (one at a time), If-Range and If-None-Match. Raises BadRange.
    """
    response = Response(content_type=content_type)
    response.set_etag(etag)
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers["Content-Disposition"] = disposition(file_name)
    if not is_resource_modified(request.environ, etag=quote_etag(etag)):
        response.status_code = 304
        return response
    wanted = _range(etag, size)
    start, stop = wanted or (0, size)
    if wanted:  # even where it is all bytes: players learn from the 206 that they can seek
        response.status_code = 206
        response.content_range = ContentRange("bytes", start, stop, size)
    response.response = open_range(start, stop - start)
    response.content_length = stop - start
    return response


def _range(etag: str, size: int) -> tuple[int, int] | None:
    """Return the first byte asked for, and the one after the last; None where the whole file is to be sent."""
    wanted = request.range
    if wanted is None or wanted.units != "bytes" or len(wanted.ranges) != 1 or request.method == "HEAD":
        return None
    if "If-Range" in request.headers and request.if_range.etag != etag:
        return None  # what the caller has a part of is no longer what is here
    found = wanted.range_for_length(size)
    if found is None:
        raise BadRange(f"The file has {size} bytes; ask for a range within them.", size)
    return found


def disposition(file_name: str) -> str:
    """Return a Content-Disposition whose file name also travels as UTF-8 (RFC 6266)."""
    ascii_name = "".join(c if " " <= c <= "~" and c not in '"\\%' else "_" for c in file_name)
    return f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(file_name, safe='')}"
