"""Sends the client's HTTP requests: one session, the key, timeouts, and which requests are repeated."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from msas_client.errors import MsasError, NotReachable, Refused, refusal

# Seconds to connect, and to wait for an answer. The first are also those that sending a piece of a song may take.
ASKING, SENDING = (5.0, 60.0), (20.0, 300.0)
_TRIES, _MOST_SECONDS, _FIRST_PAUSE = 5, 60.0, 0.5
_PASSING = {429, 502, 503, 504}  # 502 and 504 are what a proxy says while the service behind it starts anew
_CONNECTIONS = 32

T = TypeVar("T")


class Transport:
    """Talks to the service at `address`, host:port or a whole URL. Raises MsasError's kinds.

    All calls of this API may be made twice: reading changes nothing, what is removed stays removed, and a song
    that is sent again is the same job. So each is made again, up to four times and for up to a minute, where the
    connection broke or the service said that it is busy, after as long as it said.
    """

    def __init__(self, address: str, key: str | None = None, sleep: Callable[[float], None] = time.sleep) -> None:
        self.url = (address if "://" in address else f"http://{address}").rstrip("/")
        self._sleep = sleep
        self._was_there = False
        self._session = requests.Session()
        # A proxy for the outside, as the environment may name one, can not reach this machine's own services.
        self._session.trust_env = _host(self.url) not in ("localhost", "127.0.0.1", "::1")
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=_CONNECTIONS))
        if key:
            self._session.auth = _Key(key)

    def __enter__(self) -> Transport:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()

    def read(self, reader: Callable[[Any], T], answer: requests.Response) -> T:
        """Return what `reader` makes of the answer's JSON. Raises NotReachable where that is not what we know."""
        try:
            return reader(answer.json())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise NotReachable(f"What answers at {self.url} is no MSaaS service; is the address right?") from error

    def call(self, method: str, path: str, **arguments: Any) -> requests.Response:
        """Make a call, again where that may help; return the answer, which is no error."""
        waited = 0.0
        for number in count(1):
            try:
                return self._once(method, path, **arguments)
            except (NotReachable, Refused) as error:
                pause = self._pause_after(error, number)
                if pause is None or waited + pause > _MOST_SECONDS:
                    raise
            if (body := arguments.get("data")) is not None and hasattr(body, "seek"):
                body.seek(0)
            self._sleep(pause)
            waited += pause
        raise AssertionError("unreachable")

    def _once(self, method: str, path: str, **arguments: Any) -> requests.Response:
        try:
            answer = self._session.request(method, self.url + path, **{"timeout": ASKING, **arguments})
        except requests.RequestException as error:
            if isinstance(error, ValueError):
                raise NotReachable(f"{self.url} is no address; give host:port, or a URL.") from error
            raise NotReachable(f"No answer from {self.url} ({type(error).__name__}); is the service up?") from error
        self._was_there = True
        if answer.ok:
            return answer
        with answer:
            try:
                problem = answer.json()
            except (ValueError, requests.RequestException):
                problem = None
        raise refusal(answer.status_code, answer.reason, problem, answer.headers.get("Retry-After"))

    def _pause_after(self, error: MsasError, number: int) -> float | None:
        """Return the seconds to wait after this error of the call's `number`th try; None: do not try again."""
        if number == _TRIES:
            return None
        by_itself = _FIRST_PAUSE * 2.0 ** (number - 1)
        if isinstance(error, Refused):
            return (error.retry_after or by_itself) if error.status in _PASSING else None
        cause = error.__cause__
        if isinstance(cause, ValueError | requests.exceptions.SSLError):
            return None
        # Where nobody ever listened, to ask again would only keep the caller waiting.
        return by_itself if self._was_there or not _nobody_there(cause) else None


class _Key(AuthBase):
    """Puts the key into each call; as a header of the session, one from a .netrc would take its place."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._key}"
        return request


def _nobody_there(error: BaseException | None) -> bool:
    reason = getattr(error.args[0], "reason", None) if error and error.args else None
    return isinstance(reason, NewConnectionError | ConnectTimeoutError)


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:  # the first call says so
        return None
