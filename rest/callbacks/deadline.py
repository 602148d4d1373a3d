"""A socket whose calls all end by one deadline and whose input is bounded, for slow or hostile servers."""

from __future__ import annotations

import io
import socket
import time
from typing import Any


class ResponseTooLarge(Exception):
    """The other side sent more bytes than may be read."""


class Deadline:
    """A moment some seconds from now. After it, `left` raises TimeoutError."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def left(self) -> float:
        """Return how many seconds are left. Raises TimeoutError where there are none."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class TimedConnection:
    """What `http.client` needs of a socket. All calls together end by the deadline, or raise TimeoutError.

    A socket's own timeout begins anew with each byte, so that a server which sends one now and then is never late.
    Raises ResponseTooLarge where the other side sends more than `most` bytes.
    """

    def __init__(self, connected: socket.socket, deadline: Deadline, most: int) -> None:
        self._socket, self._deadline, self._room = connected, deadline, most

    def sendall(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            self._socket.settimeout(self._deadline.left())
            rest = rest[self._socket.send(rest) :]

    def receive(self, into: memoryview) -> int:
        """Fill the beginning of `into` and return the number of bytes, 0 at the end."""
        if not self._room:
            raise ResponseTooLarge
        self._socket.settimeout(self._deadline.left())
        got = self._socket.recv_into(into, min(len(into), self._room))
        self._room -= got
        return got

    def makefile(self, *_: Any) -> io.BufferedReader:
        return io.BufferedReader(_Incoming(self))

    def close(self) -> None:
        self._socket.close()


class _Incoming(io.RawIOBase):
    def __init__(self, connection: TimedConnection) -> None:
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        return self._connection.receive(memoryview(into))
