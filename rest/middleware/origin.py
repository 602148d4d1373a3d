"""Refuses requests for unknown host names (DNS rebinding), and changes that other sites' pages request (CSRF).

Only where no keys are needed. With keys a page of somebody else can do nothing: it has no key, and browsers send none.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from flask import Flask, request
from werkzeug.sansio.utils import host_is_trusted

from msas.errors import CrossSite, UnknownHost
from msas.settings import Settings

# Names that nobody can register for a page of theirs; a dot in front stands for all below.
_OURS = ("localhost", ".localhost", ".local", ".internal", ".svc", "rest-service.msas")
_READING = ("GET", "HEAD", "OPTIONS")
_CHANGES_BY_GET = "tracks.remove_by_get"


def install(app: Flask, settings: Settings) -> None:
    """Refuse calls to a name that is not ours, and what a page of another origin sends to change something."""
    if settings.keys():
        return
    trusted = [*_OURS, *settings.trusted_names()]

    @app.before_request
    def check() -> None:
        host = request.headers.get("Host", "")
        if host and not is_ours(host, trusted):
            raise UnknownHost(
                f"This service does not go by the name {host[:100]!r}; list it in TRUSTED_HOSTS, or demand keys."
            )
        changes = request.method not in _READING or request.endpoint == _CHANGES_BY_GET
        if changes and _from_another_origin(host):
            raise CrossSite("Only the service's own page may do this in a browser; use that, a script, or a key.")


def is_ours(host: str, trusted: list[str]) -> bool:
    """Say whether the header `Host` holds an address, a name without a dot (a Service, a machine), or a trusted name.

    A page is rebound to us by a name that its owner registered, never by an address.
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if "." not in name and ":" not in name:
        return bool(name)
    return _is_address(name) or host_is_trusted(name.rstrip("."), trusted)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _from_another_origin(host: str) -> bool:
    """Say whether a browser sent this for a page that is not ours. Scripts send neither of the two headers."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        return site not in ("same-origin", "none")
    return origin is not None and urlsplit(origin).netloc.lower() != host.lower()
