"""Callers who say nothing, or too little, do not keep others from being served."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from local import Service
from rest.patience import HEADERS_SECONDS, Patience
from tests.support.another_rest import another_rest


def test_callers_who_never_end_their_headers_are_let_go(service: Service, tmp_path: Path) -> None:
    with another_rest(service, tmp_path, REST_THREADS="2") as url, ExitStack() as stack:
        address = (urlsplit(url).hostname, urlsplit(url).port)
        for _ in range(2):
            silent = stack.enter_context(socket.create_connection(address))
            silent.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow:")
        with pytest.raises(requests.Timeout):  # all threads listen to them
            requests.get(f"{url}/healthz", timeout=1)
        assert requests.get(f"{url}/healthz", timeout=3 * HEADERS_SECONDS).status_code == 200


def test_a_caller_whose_time_is_up_is_not_listened_to_but_answered() -> None:
    patience = Patience()
    patience.start()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(10)
        theirs.sendall(b"half a song")
        patience.expect(ours, 0.1)
        assert ours.recv(100) == b"half a song"
        assert ours.recv(100) == b""
        ours.sendall(b"HTTP/1.1 400 Bad Request")
        assert theirs.recv(100).startswith(b"HTTP/1.1 400")


def test_a_caller_who_has_said_all_is_left_in_peace() -> None:
    patience = Patience()
    patience.start()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        patience.expect(ours, 0.1)
        patience.forget(ours)
        ours.settimeout(1.2)
        with pytest.raises(TimeoutError):
            ours.recv(100)
