"""A TCP proxy that spoils what passes through it: it cuts, delays, swallows replies, or falls silent."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress

_CHUNK = 1 << 16


class FaultProxy:
    """Listens on a free port and passes everything on to `target`, (host, port), until told otherwise.

    `delay` in seconds is added to every piece of a reply. `silent`: pieces wait until that is over. `lose_replies`:
    so many replies from now on are swallowed, and their connections closed. `lose_reply_to`: only the reply to the
    next request that holds these bytes; None once that is lost. `cut()` resets all connections;
    while `refusing`, new ones are closed at once. `target` may be changed; it holds for new connections.
    `held` counts the connections that have something to pass on, and wait for the silence to end.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.target, self.delay, self.lose_replies, self.refusing = target, 0.0, 0, False
        self.lose_reply_to: bytes | None = None
        self.held = 0
        self._speaking = threading.Event()
        self._speaking.set()
        self._lock, self._open = threading.Lock(), set[socket.socket]()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def silent(self) -> bool:
        return not self._speaking.is_set()

    @silent.setter
    def silent(self, wanted: bool) -> None:
        self._speaking.clear() if wanted else self._speaking.set()

    def calm(self) -> None:
        """Pass everything on again."""
        self.delay, self.lose_replies, self.refusing, self.silent = 0.0, 0, False, False
        self.lose_reply_to = None

    def cut(self) -> None:
        """Reset all connections."""
        with self._lock:
            doomed, self._open = self._open, set()
        for each in doomed:
            _close(each)

    def close(self) -> None:
        self._server.close()
        self.silent = False
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(here,), daemon=True).start()

    def _connect(self, here: socket.socket) -> None:
        self._wait_while_silent()
        try:
            if self.refusing:
                raise ConnectionRefusedError
            there = socket.create_connection(self.target, timeout=5)
            there.settimeout(None)
        except OSError:
            _close(here)
            return
        with self._lock:
            self._open |= {here, there}
        doomed = threading.Event()
        threading.Thread(target=self._pass_on, args=(here, there, doomed, False), daemon=True).start()
        self._pass_on(there, here, doomed, True)

    def _pass_on(self, source: socket.socket, sink: socket.socket, doomed: threading.Event, replies: bool) -> None:
        """Pass on what `source` sends; the next reply is lost once the connection is `doomed`."""
        with suppress(OSError):
            while piece := source.recv(_CHUNK):
                self._wait_while_silent()
                if replies:
                    time.sleep(self.delay)
                    if doomed.is_set() or self._loses_this():
                        break
                elif self._loses_reply_to(piece):
                    doomed.set()
                sink.sendall(piece)
        _close(source)
        _close(sink)

    def _wait_while_silent(self) -> None:
        with self._lock:
            self.held += 1
        self._speaking.wait()
        with self._lock:
            self.held -= 1

    def _loses_this(self) -> bool:
        with self._lock:
            loses = self.lose_replies > 0
            self.lose_replies -= loses
            return loses

    def _loses_reply_to(self, request: bytes) -> bool:
        with self._lock:
            loses = self.lose_reply_to is not None and self.lose_reply_to in request
            if loses:
                self.lose_reply_to = None
            return loses


def _close(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
