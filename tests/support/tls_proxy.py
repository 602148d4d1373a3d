"""A TLS listener that passes bytes to a server without TLS, with the certificate of tests/support/receiver.pem."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from types import TracebackType

from tests.support.http_receivers import CERTIFICATE


class TlsProxy:
    """A context manager that listens on 127.0.0.1:`port` and connects each caller to 127.0.0.1:`target`."""

    def __init__(self) -> None:
        self.target = 0
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(CERTIFICATE)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> TlsProxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                caller, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(caller,), daemon=True).start()

    def _serve(self, caller: socket.socket) -> None:
        with (
            suppress(OSError),
            self._context.wrap_socket(caller, server_side=True) as secure,
            socket.create_connection(("127.0.0.1", self.target)) as server,
        ):
            back = threading.Thread(target=_pass, args=(server, secure), daemon=True)
            back.start()
            _pass(secure, server)
            back.join()


def _pass(source: socket.socket, sink: socket.socket) -> None:
    """Pass bytes on until one side ends its connection, then end the other."""
    with suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
