"""Gives every request an id for the logs, and every response its security headers."""

from __future__ import annotations

import re
import secrets

from flask import Flask, Response, g, request

from msas.logs import log

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


def install(app: Flask) -> None:
    """Give every request an id, the caller's own where that is harmless, and every answer its headers."""

    @app.before_request
    def identify() -> None:
        given = request.headers.get("X-Request-Id", "")
        g.request_id = given if _ID.fullmatch(given) else secrets.token_hex(8)
        log.bind(request_id=g.request_id)

    @app.after_request
    def protect(response: Response) -> Response:
        response.headers["X-Request-Id"] = request_id()
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response


def request_id() -> str:
    """Return the id of the request in hand."""
    found: str = g.get("request_id", "")
    return found
