"""An S3 client that repeats its requests while the store is away."""

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


class PatientMinio(Minio):
    """Sends each request, each part of an upload too, again and again until the store has answered it.

    So an upload that has begun survives an outage of any length. What the store answers is final, unless it is that
    it cannot serve now.
    """

    def __init__(self, minio: Minio, pause: Callable[[], None]) -> None:
        """Use the connections of `minio`. `pause` waits before a request is repeated; what it raises ends the call."""
        self.__dict__.update(vars(minio))
        self._pause = pause

    def __del__(self) -> None:
        """Leave the connections to `minio`."""

    def _url_open(self, *args: Any, **kwargs: Any) -> BaseHTTPResponse:
        # minio-py's one way to the network: it signs each request anew, for signatures hold for minutes only.
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
    """Say whether no answer came, or one that says that the store cannot serve now."""
    match error:
        case S3Error():
            return error.response.status in _AWAY
        case ServerError():
            return error.status_code in _AWAY
        case InvalidResponseError():
            return error._code in _AWAY
    return isinstance(error, HTTPError)
