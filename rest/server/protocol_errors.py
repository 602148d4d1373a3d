"""The response that gunicorn sends to requests that break HTTP's rules, as application/problem+json."""

from __future__ import annotations

import socket
from contextlib import suppress
from http import HTTPStatus

from rest.middleware.errors import drop, problem_response
from rest.middleware.headers import HEADERS

# By status; those that are not here are for whatever else gunicorn may meet.
_DETAILS = {
    400: "The request does not follow HTTP's rules; let a library send it.",
    414: "The address is too long; put options into a form or into JSON, and leave the rest out.",
    417: "The header Expect may only ask for 100-continue; leave it out.",
    431: "The headers are too many or too long; send fewer.",
    501: "Of transfer codings only chunked is known; send the body so, or with its length.",
}
_OTHERWISE = "The request could not be served; try again, or tell us."


def write_error(connection: socket.socket, status: int, *_: str) -> None:
    """Send a problem instead of gunicorn's page, which would show the caller its own bytes."""
    title = HTTPStatus(status).phrase
    code = "internal_error" if status == HTTPStatus.INTERNAL_SERVER_ERROR else "bad_request"
    answer = problem_response(status, code, title, _DETAILS.get(status, _OTHERWISE))
    answer.headers.update(HEADERS)
    answer.headers["Connection"] = "close"
    head = "".join(f"{name}: {value}\r\n" for name, value in answer.headers)
    with suppress(OSError):  # the caller may be gone
        connection.sendall(f"HTTP/1.1 {status} {title}\r\n{head}\r\n".encode("latin-1") + answer.get_data())
        drop(connection.recv, connection)
