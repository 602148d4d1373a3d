"""Slow clients keep nobody else waiting; those that send too slowly are cut off; past a bound callers get a 503."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from local import Service
from msas_client import Client
from tests.support.another_rest import another_rest
from tests.support.processes import eventually

_SONG = b"POST /apiv1/separate HTTP/1.1\r\nHost: x\r\nContent-Type: audio/wav\r\nContent-Length: %d\r\n\r\n"


@contextmanager
def connected(url: str, count: int = 1, *, sending: bytes) -> Iterator[list[socket.socket]]:
    """Yield so many connections to REST, on each of which these bytes were sent."""
    address = (urlsplit(url).hostname, urlsplit(url).port)
    with ExitStack() as stack:
        made = [stack.enter_context(socket.create_connection(address, 60)) for _ in range(count)]
        for connection in made:
            connection.sendall(sending)
        yield made


def test_a_client_that_never_ends_its_headers_is_cut_off(service: Service) -> None:
    with connected(service.url, sending=b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow:") as [silent]:
        assert silent.recv(100) == b""


def test_hundreds_of_half_sent_songs_keep_nobody_waiting(service: Service) -> None:
    with connected(service.url, 300, sending=_SONG % 1_000_000 + b"RIFF") as uploads:
        assert requests.get(f"{service.url}/healthz", timeout=30).ok
        assert requests.get(f"{service.url}/apiv1/queue", timeout=30).ok
        assert select.select(uploads, [], [], 0)[0] == [], "none of them was cut off"


def test_hundreds_of_downloads_that_nobody_reads_keep_nobody_waiting(
    service: Service, client: Client, song: Path
) -> None:
    finished = client.separate(song, format="wav").songhash
    client.wait(finished, timeout=60)
    get = f"GET /apiv1/track/{finished}/vocals HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with connected(service.url, 300, sending=get) as downloads:
        assert requests.get(f"{service.url}/healthz", timeout=30).ok
        assert requests.get(f"{service.url}/apiv1/status/{finished}", timeout=30).ok
        assert {download.recv(15) for download in downloads} == {b"HTTP/1.1 200 OK"}


def test_a_caller_who_drips_bytes_into_a_refused_body_gets_its_answer(service: Service) -> None:
    head = b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
    with connected(service.url, sending=head) as [dripping]:

        def answered() -> bool:
            dripping.sendall(b"x")
            return bool(select.select([dripping], [], [], 0.2)[0])

        eventually(answered, 20)
        assert dripping.recv(100).startswith(b"HTTP/1.1 404 ")


@pytest.mark.long
def test_a_caller_who_drips_bytes_into_a_song_is_cut_off_though_it_announced_many(service: Service) -> None:
    with connected(service.url, sending=_SONG % 19_000_000) as [dripping]:

        def answered() -> bool:
            dripping.sendall(b"x")
            return bool(select.select([dripping], [], [], 0.2)[0])

        eventually(answered, 90)
        assert dripping.recv(100).startswith(b"HTTP/1.1 400 ")


def test_past_the_bound_of_requests_a_call_is_refused_before_its_body_and_probes_are_answered(
    service: Service, tmp_path: Path
) -> None:
    with another_rest(service, tmp_path, REST_CONNECTIONS="3") as url:
        with connected(url, 3, sending=_SONG % 1_000_000):
            refused = eventually_refused(url)
            health = requests.get(f"{url}/healthz", timeout=30)
            with connected(url, sending=_SONG % 1_000_000) as [late]:
                answer = late.recv(100)

        assert refused.json()["code"] == "too_busy"
        assert int(refused.headers["Retry-After"]) > 0
        assert health.ok
        assert answer.startswith(b"HTTP/1.1 503 ")
        eventually(lambda: requests.get(f"{url}/apiv1/queue", timeout=30).ok)


def eventually_refused(url: str) -> requests.Response:
    """Return the answer to a call once the requests sent before are in progress."""
    answers: list[requests.Response] = []

    def refused() -> bool:
        answers.append(requests.get(f"{url}/apiv1/queue", timeout=30))
        return answers[-1].status_code == 503

    eventually(refused)
    return answers[-1]


def test_a_song_without_room_on_disk_is_refused_before_it_is_sent(service: Service, tmp_path: Path) -> None:
    with (
        another_rest(service, tmp_path, SPOOL_MB="1") as url,
        connected(url, sending=_SONG % 1_500_000) as [upload],
    ):
        assert upload.recv(100).startswith(b"HTTP/1.1 503 ")


def test_songs_that_fill_the_disk_together_are_refused_as_they_come_and_leave_room_behind(
    service: Service, tmp_path: Path
) -> None:
    with another_rest(service, tmp_path, SPOOL_MB="1") as url:
        half_sent = _SONG % 900_000 + bytes(600_000)
        with connected(url, 2, sending=half_sent) as uploads:
            answered, _, _ = select.select(uploads, [], [], 60)
            assert answered[0].recv(100).startswith(b"HTTP/1.1 503 ")

        headers = {"Content-Type": "audio/wav"}

        def has_room() -> bool:
            answer = requests.post(f"{url}/apiv1/separate", bytes(900_000), headers=headers, timeout=30)
            return bool(answer.json()["code"] == "not_audio")

        eventually(has_room)


def test_idle_connections_make_way_for_new_ones(service: Service, tmp_path: Path) -> None:
    get = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    with another_rest(service, tmp_path, REST_CONNECTIONS="20") as url, ExitStack() as stack:
        for _ in range(60):
            [idle] = stack.enter_context(connected(url, sending=get))
            assert idle.recv(15) == b"HTTP/1.1 200 OK"


def test_what_is_left_of_a_refused_body_is_not_taken_for_a_request(service: Service) -> None:
    head = b"POST /nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n"
    with connected(service.url, sending=head) as [dripping]:

        def answered() -> bool:
            dripping.sendall(b"x")
            return bool(select.select([dripping], [], [], 0.2)[0])

        eventually(answered, 20)
        with suppress(OSError):
            dripping.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        said = b""
        with suppress(ConnectionResetError):
            while part := dripping.recv(4096):
                said += part

    assert said.startswith(b"HTTP/1.1 404 ")
    assert said.count(b"HTTP/1.1 ") == 1, "the connection is closed after the answer"
