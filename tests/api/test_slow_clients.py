"""Slow clients are cut off, so that they do not occupy the request threads."""

from __future__ import annotations

import select
import socket
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from local import Service
from rest.patience import BODY_SECONDS, HEADERS_SECONDS, Patience
from tests.support.another_rest import another_rest
from tests.support.processes import eventually


def test_clients_that_never_end_their_headers_are_cut_off(service: Service, tmp_path: Path) -> None:
    with another_rest(service, tmp_path, REST_THREADS="2") as url, ExitStack() as stack:
        address = (urlsplit(url).hostname, urlsplit(url).port)
        for _ in range(2):
            silent = stack.enter_context(socket.create_connection(address))
            silent.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow:")
        with pytest.raises(requests.Timeout):  # all threads listen to them
            requests.get(f"{url}/healthz", timeout=1)
        assert requests.get(f"{url}/healthz", timeout=60 + HEADERS_SECONDS).status_code == 200


def test_a_caller_who_drips_bytes_into_a_refused_body_gets_its_answer(service: Service) -> None:
    address = (service.settings.rest_host, service.settings.rest_port)
    with socket.create_connection(address) as dripping:
        dripping.sendall(b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")

        def answered() -> bool:
            dripping.sendall(b"x")
            return bool(select.select([dripping], [], [], 0.2)[0])

        eventually(answered, 20)
        assert dripping.recv(100).startswith(b"HTTP/1.1 404 ")


@pytest.mark.long
def test_a_caller_who_drips_bytes_into_a_song_is_cut_off_though_it_announced_many(service: Service) -> None:
    address = (service.settings.rest_host, service.settings.rest_port)
    with socket.create_connection(address) as dripping:
        head = (
            b"POST /apiv1/separate HTTP/1.1\r\nHost: x\r\nContent-Type: audio/wav\r\nContent-Length: 19000000\r\n\r\n"
        )
        dripping.sendall(head)

        def answered() -> bool:
            dripping.sendall(b"x")
            return bool(select.select([dripping], [], [], 0.2)[0])

        eventually(answered, BODY_SECONDS + 60)
        assert dripping.recv(100).startswith(b"HTTP/1.1 400 ")


def test_a_connection_past_its_deadline_reads_its_end_and_can_still_be_answered() -> None:
    patience = Patience()
    patience.start()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(60)
        theirs.sendall(b"half a song")
        patience.expect(ours, 0.1)
        assert ours.recv(100) == b"half a song"
        assert ours.recv(100) == b""
        ours.sendall(b"HTTP/1.1 400 Bad Request")
        assert theirs.recv(100).startswith(b"HTTP/1.1 400")


def test_a_connection_whose_deadline_was_cleared_stays_open() -> None:
    patience = Patience()
    patience.start()
    cleared, cleared_peer = socket.socketpair()
    later, later_peer = socket.socketpair()
    with cleared, cleared_peer, later, later_peer:
        patience.expect(cleared, 0.1)
        patience.forget(cleared)
        patience.expect(later, 0.2)
        later.settimeout(60)

        assert later.recv(100) == b"", "the later deadline has passed"

        cleared.setblocking(False)
        with pytest.raises(BlockingIOError):
            cleared.recv(100)
