"""Reads the callback that a request asks for, and refuses one for which its owner has no room."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from msas.errors import BadOption, TooMany
from msas.job import Job
from msas.queue import JobLookup

_CALLBACK_BYTES = 64_000
# Of one owner's callbacks that wait in Redis: 4% of its 384 MB, and more than one for each of MAX_QUEUE_PER_KEY songs.
_WAITING_CALLBACK_BYTES = 16_000_000
_LATER_SECONDS = 60


def check_callback_room(job: Job, known: JobLookup) -> None:
    """Raise TooMany where the job has a callback, and those of its owner that wait take up as much as they may.

    Requests that come at once may exceed it, by one callback each.
    """
    if job.callback and known.callback_bytes >= _WAITING_CALLBACK_BYTES:
        most = f"{_WAITING_CALLBACK_BYTES // 1_000_000} MB"
        raise TooMany(f"Your callbacks that wait take up {most}, as much as they may; try again later.", _LATER_SECONDS)


def read_callback(fields: dict[str, Any]) -> dict[str, Any] | None:
    """Return the callback's `url` and `data`; None where the request has no callback. Raises BadOption."""
    callback = fields.get("callback")
    if callback is None:
        return None
    if not isinstance(callback, dict) or not _is_web_address(callback.get("url")):
        raise BadOption(
            "The field 'callback' must be an object whose 'url' begins with http:// or https://, or be left out."
        )
    wanted = {"url": callback["url"], "data": callback.get("data")}
    try:
        # Deeper than it will lie in the job's message, so that encoding that can not fail later on.
        size = len(json.dumps([[[[[[[[wanted]]]]]]]]))
    except RecursionError:
        size = _CALLBACK_BYTES + 1
    if size > _CALLBACK_BYTES:
        raise BadOption(f"The field 'callback' is too large; send at most {_CALLBACK_BYTES} bytes of it as JSON.")
    return wanted


def _is_web_address(url: object) -> bool:
    try:
        return isinstance(url, str) and urlsplit(url).scheme in ("http", "https") and bool(urlsplit(url).hostname)
    except ValueError:
        return False
