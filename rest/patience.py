"""How long we listen to a caller who says little: each one keeps a thread, and there are only so many."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from contextvars import copy_context

from gunicorn.workers.gthread import TConn, ThreadWorker

HEADERS_SECONDS = 5.0
BODY_SECONDS, SLOWEST = 30.0, 8_000  # so long, and one second more for so many bytes that have come
_LOOK_SECONDS = 0.5


class Patience:
    """Ends the listening to callers whose time is up; an answer can still be sent to them."""

    def __init__(self) -> None:
        self._until: dict[socket.socket, float] = {}

    def start(self) -> None:
        """Look after them from now on, in a thread of its own: a process that forks must do this afterwards."""
        threading.Thread(target=self._watch, daemon=True).start()

    def expect(self, caller: socket.socket, seconds: float) -> None:
        """Give `caller` so many seconds from now to say what is to be said."""
        self._until[caller] = time.monotonic() + seconds

    def forget(self, caller: socket.socket) -> None:
        """All was said."""
        self._until.pop(caller, None)

    def _watch(self) -> None:
        while True:
            time.sleep(_LOOK_SECONDS)
            now = time.monotonic()
            for caller, until in list(self._until.items()):
                if until < now and self._until.get(caller) == until:  # not renewed meanwhile
                    self.forget(caller)
                    with suppress(OSError):
                        caller.shutdown(socket.SHUT_RD)


class Worker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threads, which would wait without end for a request's headers."""

    patience: Patience

    def load_wsgi(self) -> None:
        super().load_wsgi()
        self.patience = self.wsgi.extensions["msas"].patience
        self.patience.start()

    def handle(self, conn: TConn) -> object:
        self.patience.expect(conn.sock, HEADERS_SECONDS)
        try:
            return super().handle(conn)
        finally:
            self.patience.forget(conn.sock)

    def handle_request(self, req: object, conn: TConn) -> object:
        self.patience.forget(conn.sock)
        # In a context of its own: what the log is told of this request ends with it.
        return copy_context().run(super().handle_request, req, conn)
