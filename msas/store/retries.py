"""An S3 client that repeats its requests until the store answers."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from typing import Any

from minio import Minio
from minio.error import InvalidResponseError, S3Error, ServerError
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from msas.logs import log

_log = logging.getLogger("msas.store")
_AWAY = (500, 502, 503, 504)  # statuses


class RetryingMinio(Minio):
    """Repeats each request, also each part of an upload, until the store answers it with another status than 500, 502,
    503 or 504. So an upload survives an outage of any length.
    """

    def __init__(self, minio: Minio, pause: Callable[[], None]) -> None:
        """Use the connections of `minio`. `pause` waits before each repetition; an exception of it ends the call."""
        self.__dict__.update(vars(minio))
        self._pause = pause

    def __del__(self) -> None:
        """Keep the connections open for `minio`."""

    def _url_open(self, *args: Any, **kwargs: Any) -> BaseHTTPResponse:
        # All requests of minio-py go through this method, which also signs them: signatures are valid for minutes only.
        for tries in itertools.count():
            try:
                return super()._url_open(*args, **kwargs)
            except (HTTPError, S3Error, ServerError, InvalidResponseError) as error:
                if not _is_away(error):
                    raise
                if not tries:
                    log.event(_log, "waiting for store", logging.WARNING, why=str(error)[:200])
            self._pause()
        raise AssertionError("unreachable")


def _is_away(error: Exception) -> bool:
    """Return whether no answer came, or one of the statuses in _AWAY."""
    match error:
        case S3Error():
            return error.response.status in _AWAY
        case ServerError():
            return error.status_code in _AWAY
        case InvalidResponseError():
            return error._code in _AWAY
    return isinstance(error, HTTPError)
