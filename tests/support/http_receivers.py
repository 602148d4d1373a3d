"""HTTP receivers of callbacks: real servers on this machine, which answer as a test says, or never end."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

CERTIFICATE = Path(__file__).parent / "receiver.pem"
# Writes an answer to a connection from which a request was read.
Say = Callable[[socket.socket], object]


@dataclass
class Request:
    """One request as it came over the wire. The headers' names are in lower case."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """`connections` counts all connections, also those without a request."""

    port: int
    say: Say
    connections: int = 0
    requests: list[Request] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"


def answer(status: int, *headers: str, body: str = "") -> Say:
    """Return what answers with this status, these header lines and this body."""
    lines = [f"HTTP/1.1 {status} As Asked", f"Content-Length: {len(body)}", *headers, "", body]
    return lambda connection: connection.sendall("\r\n".join(lines).encode())


def in_turn(*says: Say) -> Say:
    """Return what answers each request with the next of these, and all further requests with the last."""
    left = list(says)
    return lambda connection: (left.pop(0) if len(left) > 1 else left[0])(connection)


def without_end(beginning: bytes, again: bytes, pause_seconds: float = 0.0) -> Say:
    """Return what sends `beginning`, then `again` until the other side hangs up, for at most 30 s."""

    def say(connection: socket.socket) -> None:
        until = time.monotonic() + 30
        connection.sendall(beginning)
        while time.monotonic() < until:
            connection.sendall(again)
            time.sleep(pause_seconds)

    return say


@contextmanager
def receiving(say: Say, *, secure: bool = False) -> Iterator[Receiver]:
    """Run a server that reads each request, calls `say`, and closes the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        receiver = Receiver(listening.getsockname()[1], say)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if secure:
            context.load_cert_chain(CERTIFICATE)

        def serve(connection: socket.socket) -> None:
            with (
                suppress(OSError),
                context.wrap_socket(connection, server_side=True) if secure else connection as plain,
            ):
                receiver.requests.append(_read(plain))
                receiver.say(plain)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    receiver.connections += 1
                    threading.Thread(target=serve, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield receiver
        listening.shutdown(socket.SHUT_RDWR)  # ends accept()
        thread.join()


def _read(connection: socket.socket) -> Request:
    with connection.makefile("rb") as incoming:
        line = incoming.readline().decode().strip()
        headers = {}
        while text := incoming.readline().decode().strip():
            name, _, value = text.partition(":")
            headers[name.lower()] = value.strip()
        return Request(line, headers, incoming.read(int(headers.get("content-length", 0))))
