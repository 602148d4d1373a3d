"""Turns every error into a response of the type application/problem+json (RFC 9457)."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from contextlib import suppress
from socket import socket

from flask import Flask, Response, g, request
from gevent import Timeout, sleep
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import HTTPException

from msas.errors import BadRange, Problem, TooBusy, TooMany, Unauthorized, Unavailable

_LINGER_SECONDS, _LINGER_SILENCE_SECONDS = 5.0, 1.0
_BUSY_LINGER_SECONDS = 0.5  # a service that is full gets rid of callers soon
_SHOWN = 150  # characters of a path that is not here
_log = logging.getLogger("msas.rest")

# Werkzeug's own errors, as codes of ours; what is not listed is `bad_request`.
_CODES = {404: "not_found", 405: "method_not_allowed"}


def install(app: Flask) -> None:
    """Answer every error of `app` as a problem."""

    @app.errorhandler(Problem)
    def problem(error: Problem) -> Response:
        _read_on(_BUSY_LINGER_SECONDS if isinstance(error, TooBusy) else _LINGER_SECONDS)
        g.problem = error.code
        answer = problem_response(error.status, error.code, error.title, error.detail)
        if isinstance(error, Unavailable | TooMany):
            answer.headers["Retry-After"] = str(error.retry_after_seconds)
        if isinstance(error, Unauthorized):
            answer.headers["WWW-Authenticate"] = 'Bearer realm="MSaaS"'
        if isinstance(error, BadRange):
            answer.headers["Content-Range"] = f"bytes */{error.size}"
        return answer

    @app.errorhandler(HTTPException)
    def http(error: HTTPException) -> Response:
        _read_on(_LINGER_SECONDS)
        status = error.code or 500
        detail = f"{request.method} {request.path[:_SHOWN]} is not part of this API; see GET /docs."
        if status not in (404, 405):
            detail = error.description or "The request could not be served."
        g.problem = _CODES.get(status, "bad_request")
        answer = problem_response(status, g.problem, error.name, detail)
        if allowed := getattr(error, "valid_methods", None):
            answer.headers["Allow"] = ", ".join(sorted(allowed))
        return answer

    @app.errorhandler(Exception)
    def unforeseen(_: Exception) -> Response:
        _log.exception("request failed", extra={"facts": {"path": request.path}})
        return problem(Problem("The request failed on our side; the service's log says why. Try again, or tell us."))


def problem_response(status: int, code: str, title: str, detail: str) -> Response:
    """Return the answer that tells of an error."""
    content = {"title": title, "detail": detail, "status": status, "code": code}
    return Response(json.dumps(content) + "\n", status, content_type="application/problem+json")


def _read_on(seconds: float) -> None:
    """Read the rest of the body, for so many seconds, and drop it."""
    connection = request.environ.get("gunicorn.socket")
    try:
        drop(request.environ["wsgi.input"].read, connection, seconds)
    except ParseException:
        g.body_is_malformed = True
    if connection and g.get("body_is_malformed"):  # nobody knows where it ends
        drop(connection.recv, connection, seconds)


def drop(read: Callable[[int], bytes], connection: socket | None, seconds: float = _LINGER_SECONDS) -> None:
    """Drop what `read` returns until it ends, for so many seconds, or until the sender falls silent.

    Closed at once, the connection would be reset under the sender, who would never see the answer.
    """
    if connection:
        connection.settimeout(_LINGER_SILENCE_SECONDS)
    with suppress(OSError), Timeout(seconds, TimeoutError()):
        while read(1 << 16):
            sleep(0)
