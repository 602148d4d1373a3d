"""How the client talks HTTP: one session, the key, and which calls are made again."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from msas_client.errors import Busy, MsasError, NotReachable, refusal

_CONNECT_SECONDS, _READ_SECONDS = 5, 300
_TRIES, _LONGEST_PAUSE = 5, 30.0
_CONNECTIONS = 32


class Transport:
    """Talks to the service at `address`, host:port or a whole URL. Raises MsasError's kinds.

    All calls of this API may be made twice: reading changes nothing, what is removed stays removed, and a song
    that is sent again is the same job. So each is made again, up to four times, where the connection broke or the
    service said that it is busy, after as long as it said.
    """

    def __init__(self, address: str, key: str | None = None, sleep: Callable[[float], None] = time.sleep) -> None:
        self.url = (address if "://" in address else f"http://{address}").rstrip("/")
        self._sleep = sleep
        self._session = requests.Session()
        # A proxy for the outside, as the environment may name one, can not reach this machine's own services.
        self._session.trust_env = urlsplit(self.url).hostname not in ("localhost", "127.0.0.1", "::1")
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=_CONNECTIONS))
        if key:
            self._session.headers["Authorization"] = f"Bearer {key}"

    def __enter__(self) -> Transport:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()

    def call(self, method: str, path: str, **arguments: Any) -> requests.Response:
        """Make a call, again where that may help; return the answer, which is no error."""
        for tries_left in reversed(range(_TRIES)):
            try:
                return self.once(method, path, **arguments)
            except (NotReachable, Busy) as error:
                wanted = getattr(error, "retry_after", None) or 0.3 * 2 ** (_TRIES - 1 - tries_left)
                if not tries_left or wanted > _LONGEST_PAUSE or _never_there(error):
                    raise
            if (body := arguments.get("data")) is not None and hasattr(body, "seek"):
                body.seek(0)
            self._sleep(wanted)
        raise AssertionError("unreachable")

    def once(self, method: str, path: str, **arguments: Any) -> requests.Response:
        """Make a call, once."""
        try:
            answer = self._session.request(
                method, self.url + path, timeout=(_CONNECT_SECONDS, _READ_SECONDS), **arguments
            )
        except requests.RequestException as error:
            raise NotReachable(f"No answer from {self.url} ({type(error).__name__}); is the service up?") from error
        if answer.ok:
            return answer
        try:
            problem = answer.json()
        except ValueError:
            problem = None
        raise refusal(answer.status_code, answer.reason, problem, answer.headers.get("Retry-After"))


def _never_there(error: MsasError) -> bool:
    """Say whether nobody ever listened there: then to ask again would only keep the caller waiting."""
    cause = error.__cause__
    return isinstance(cause, requests.ConnectionError) and "refused" in str(cause).lower()
