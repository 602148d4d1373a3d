"""Checks API keys and rate limits for every request, and says which songs a caller may see."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections import Counter
from threading import Lock

from flask import Flask, g, request
from flask.typing import ResponseReturnValue
from flask_limiter import Limiter
from flask_limiter.errors import RateLimitExceeded

from msas.errors import TooMany, Unauthorized
from msas.queue import JobView
from msas.settings import Settings
from rest.middleware.link_signature import find_signer

# By endpoint: probes and load balancers have no keys, and neither has a person who opens a page.
OPEN = frozenset(
    {"page.index", "page.asset", "health.live", "health.ready", "metrics.show"}
    | {"contract.openapi", "contract.docs", "contract.start", "contract.asset"}
)
FAILED_PER_MINUTE = 60  # calls without a good key, of one address
_MINUTE_SECONDS = 60.0


class FailedCalls:
    """Counts calls without a good key by address. Each process counts its own; each minute begins anew."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._ends = 0.0
        self._calls: Counter[str | None] = Counter()

    def count(self, address: str | None) -> None:
        """Count one call. Raises TooMany where its address has made FAILED_PER_MINUTE before it."""
        with self._lock:
            now = time.monotonic()
            if now >= self._ends:
                self._ends = now + _MINUTE_SECONDS
                self._calls.clear()
            self._calls[address] += 1
            calls, left = self._calls[address], self._ends - now
        if calls > FAILED_PER_MINUTE:
            raise TooMany(
                f"More than {FAILED_PER_MINUTE} calls without a good key came from your address within a minute; "
                "send a good key, for which this limit does not hold, or wait.",
                int(left) + 1,
            )


def install(app: Flask, settings: Settings) -> None:
    """Where there are API_KEYS, refuse every call without one, save to OPEN, and count calls by key or by address.

    A signed link counts as its owner's key.
    """
    keys = settings.keys()
    if not keys:
        return
    failed, admins = FailedCalls(), settings.admins()

    @app.before_request
    def check() -> None:
        if request.endpoint in OPEN:
            return
        name = _owner(keys, _given()) or find_signer(keys, request.method, request.path, request.args)
        if name is None:
            # Behind a proxy all callers have its address. A good key was accepted above: nobody can use up its limit.
            failed.count(request.remote_addr)
            raise Unauthorized("This service needs a key: send it as 'Authorization: Bearer KEY' or as 'X-API-Key'.")
        g.caller, g.sees_all = name, name in admins

    if settings.rate_limit:
        limiter = Limiter(
            caller,
            default_limits=[settings.rate_limit],
            default_limits_exempt_when=lambda: request.endpoint in OPEN,
            storage_uri=settings.redis_location(),
            storage_options={"socket_connect_timeout": 1, "socket_timeout": 1},
            key_prefix=f"{settings.work_queue}:limits",
            swallow_errors=True,  # a Redis that is away is said by whatever the call itself needs of it
        )
        limiter.init_app(app)

        @app.errorhandler(RateLimitExceeded)
        def exceeded(error: RateLimitExceeded) -> ResponseReturnValue:
            wait = limiter.current_limit.reset_at - time.time() if limiter.current_limit else 1
            refused = TooMany(
                f"The key {caller()!r} has made more calls than {error.description}; slow down.", max(1, int(wait) + 1)
            )
            answer: ResponseReturnValue = app.handle_user_exception(refused)
            return answer


def caller() -> str:
    """Return the name of the key that the call came with; empty where the service has none."""
    name: str = g.get("caller", "")
    return name


def sees_all() -> bool:
    """Say whether the caller may see the songs of all keys: it has an admin's key, or the service has no keys."""
    found: bool = g.get("sees_all", True)
    return found


def sees(job: JobView) -> bool:
    """Say whether the caller may see this job: others learn nothing of it."""
    return sees_all() or caller() in job.owners


def _given() -> str:
    kind, _, key = request.headers.get("Authorization", "").partition(" ")
    return key.strip() if kind.lower() == "bearer" else request.headers.get("X-API-Key", "")


def _owner(keys: dict[str, str], given: str) -> str | None:
    """Return whose key was given. Looks at all of them, each in constant time: how long it takes tells nothing."""
    digest, found = key_digest(given), None
    for name, known in keys.items():
        if hmac.compare_digest(digest, known):
            found = name
    return found


def key_digest(key: str) -> str:
    """Return what API_KEYS keeps of a key: its SHA-256. Ours are random and long, so that needs no salt."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
