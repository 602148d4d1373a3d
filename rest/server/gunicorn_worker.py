"""gunicorn's worker class: a greenlet for each connection, timeouts for slow clients, and draining at SIGTERM."""

from __future__ import annotations

import gc
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import Any

from gevent import Timeout, sleep
from gevent.event import Event
from gevent.local import local
from gevent.pool import Pool
from gevent.server import StreamServer
from gunicorn import util
from gunicorn.workers.ggevent import GeventWorker
from werkzeug.wsgi import ClosingIterator

from rest.middleware.capacity import Capacity

HEADERS_SECONDS = 5.0  # of a connection's first request
# For each part of an answer, 64 kB. A slow reader with large buffers may take nothing for half a minute.
SEND_SECONDS = 300.0
# Bytes that the kernel keeps of an answer for a slow reader. Its own limit is 4 MB, which counts as the pod's memory.
_SEND_BUFFER_BYTES = 128 * 1024
# The garbage collector stops all requests: with a thousand connections a full collection takes 140 ms, and Python's own
# thresholds (700, 10, 10) start one every few seconds. There is little garbage in cycles: 500 objects a second.
_GC_THRESHOLDS = (20_000, 20, 20)


class GreenletWorker(GeventWorker):  # type: ignore[misc]
    capacity: Capacity

    def init_process(self) -> None:
        self._stopping = Event()
        self._connection = local()  # of this greenlet: whether it has served a request
        self._idle = dict[socket.socket, None]()  # connections between two requests, the longest idle first
        super().init_process()

    def load_wsgi(self) -> None:
        super().load_wsgi()
        app: Any = self.wsgi  # type: ignore[has-type]
        self.capacity = app.extensions["msas"].capacity
        self.wsgi = lambda environ, start: _yielding(app(environ, start))
        gc.collect()
        gc.freeze()  # what exists now lives as long as the process
        gc.set_threshold(*_GC_THRESHOLDS)

    def run(self) -> None:
        """Serve until SIGTERM; then end idle connections, and give requests in progress the graceful timeout.

        gunicorn's own loop would look at SIGTERM once a second, and wait for idle connections as well.
        """
        pool = self._pool = Pool(self.worker_connections)
        self._spare = self.worker_connections // 20
        servers = [StreamServer(each, handle=partial(self.handle, each), spawn=pool) for each in self.sockets]
        for server in servers:
            server.start()
        while self.alive:
            self.notify()
            self._stopping.wait(1)
        for server in servers:
            server.close()
        until = time.monotonic() + self.cfg.graceful_timeout
        while len(pool) and time.monotonic() < until:
            self.notify()
            self._end_idle(len(self._idle))
            pool.join(timeout=0.5)
        pool.kill(timeout=1)

    def _end_idle(self, count: int) -> None:
        """End the connections that have been idle for longest."""
        for connection in list(self._idle)[:count]:
            with suppress(OSError):  # gevent's own shutdown would raise an error in the reader, not end its input
                connection._sock.shutdown(socket.SHUT_RD)  # type: ignore[attr-defined]

    def handle_exit(self, sig: int, frame: object) -> None:
        super().handle_exit(sig, frame)
        self._stopping.set()

    def handle(self, listener: Any, client: socket.socket, addr: Any) -> None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        self._connection.has_served = False
        self._idle[client] = None
        if self._pool.free_count() < self._spare:  # a full pool would accept nobody, probes included
            self._end_idle(self._spare)
        try:
            super().handle(listener, client, addr)
        finally:
            self._idle.pop(client, None)

    def timeout_ctx(self) -> Timeout:
        seconds = self.cfg.keepalive if self._connection.has_served else HEADERS_SECONDS
        return Timeout(seconds, False)  # type: ignore[arg-type]  # False: the block ends without an exception

    def handle_request(self, listener_name: Any, req: Any, sock: socket.socket, addr: Any) -> None:
        self._connection.has_served = True
        self._idle.pop(sock, None)
        sock.settimeout(SEND_SECONDS)
        try:
            with self.capacity.request():
                # In a context of its own: the context of the log ends with the request.
                copy_context().run(super().handle_request, listener_name, req, sock, addr)
            if not _is_read(req.body):  # the rest of the body would be read as the next request
                raise StopIteration
        except StopIteration:  # the connection is to be closed; at once, the caller might never see the answer
            util.close_graceful(sock)
            raise
        sock.settimeout(None)  # `timeout_ctx` bounds the wait for the next request
        self._idle[sock] = None


def _is_read(body: Any) -> bool:
    """Say whether a request's body was read to its end."""
    try:
        with Timeout(0.1, TimeoutError()):
            return not body.read(1) and not body.failed
    except Exception:
        return False


def _yielding(answer: Iterable[bytes]) -> ClosingIterator:
    """Let other requests proceed after each part of an answer, however fast its reader is."""

    def parts() -> Iterator[bytes]:
        for part in answer:
            yield part
            sleep(0)

    return ClosingIterator(parts(), getattr(answer, "close", None))
