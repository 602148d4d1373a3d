"""Runs the processes that mix: a few at once, one for each mix, ended as soon as nobody reads it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

from msas.errors import Problem, StoreUnavailable, TooBusy, UnknownStem
from rest.mix.plan import MixPlan

MIXES_AT_ONCE = 4  # of each REST process; a mix takes 80 MB, and up to two cores while its reader keeps up
_COMMAND = [sys.executable, "-m", "rest.mix"]
_CHUNK = 1 << 16  # bytes
_PROBLEMS: dict[str, type[Problem]] = {kind.code: kind for kind in (StoreUnavailable, UnknownStem)}


class Mixer:
    """Makes mixes, at most MIXES_AT_ONCE at a time. Not thread-safe: greenlets use it."""

    def __init__(self) -> None:
        self._running = 0

    def open(self, plan: MixPlan) -> Mix:
        """Begin a mix. Raises TooBusy, UnknownStem, StoreUnavailable."""
        if self._running >= MIXES_AT_ONCE:
            raise TooBusy(f"The service is making {MIXES_AT_ONCE} mixes, as many as it takes; ask for this one later.")
        self._running += 1
        return Mix(plan, self._count_end)

    def _count_end(self) -> None:
        self._running -= 1


class Mix:
    """The bytes of a mix, in chunks, while its process makes them. Must be closed, read or not."""

    def __init__(self, plan: MixPlan, on_end: Callable[[], None]) -> None:
        self._on_end: Callable[[], None] | None = on_end
        self._socket, theirs = socket.socketpair()
        try:
            with theirs:
                self._child = subprocess.Popen(
                    _COMMAND, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, start_new_session=True
                )
            self._socket.sendall(plan.to_json().encode() + b"\n")
            self._rest = self._read_answer()
        except BaseException:
            self.close()
            raise

    def _read_answer(self) -> bytes:
        """Read the line before the bytes of the mix; return what was read beyond it."""
        text = b""
        while b"\n" not in text:
            more = self._socket.recv(_CHUNK)
            if not more:
                raise RuntimeError(f"the process that mixes ended with {self._child.wait()}")
            text += more
        line, _, rest = text.partition(b"\n")
        answer = json.loads(line)
        if answer:
            raise _PROBLEMS.get(answer["code"], Problem)(answer["detail"])
        return rest

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield self._rest
            while chunk := self._socket.recv(_CHUNK):
                yield chunk
            if status := self._child.wait():
                # Breaks the connection: the caller must not take a part for the whole.
                raise RuntimeError(f"the process that mixes ended with {status}")
        finally:
            self.close()

    def close(self) -> None:
        """End the process."""
        self._socket.close()
        if child := getattr(self, "_child", None):
            child.kill()
            child.wait()
        if self._on_end:
            self._on_end()
            self._on_end = None
