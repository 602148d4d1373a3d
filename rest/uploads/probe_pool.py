"""Reads songs' formats and lengths in child processes, which a damaged song may crash or block."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from queue import LifoQueue
from typing import Any, BinaryIO

from msas.audio_file import SongInfo
from msas.errors import BadSong, EmptySong, NoAudioStream, NotAudio, TooLong, TooShort

_MOST = 4  # processes, of 50 MB each; the first is started with the first song, others where several come at once
_COMMAND = [sys.executable, "-m", "rest.uploads.probe_child"]
_PROBLEMS: dict[str, type[BadSong]] = {
    kind.code: kind for kind in (EmptySong, NotAudio, NoAudioStream, TooLong, TooShort)
}
# What ends a process over a song; anything else that ends it is no fault of the song's.
_FATAL = {signal.SIGXCPU, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}


class ProbePool:
    """Says what songs are. May be called by many threads at once."""

    def __init__(self) -> None:
        self._free: LifoQueue[_Process | None] = LifoQueue()
        for _ in range(_MOST):
            self._free.put(None)

    def probe(self, song: BinaryIO, most_minutes: float) -> SongInfo:
        """Read what the song's container says, as `msas.audio_file.probe` does; leaves the file's position alone.

        Raises a BadSong as that does, and NotAudio where no answer can be had because of the song.
        """
        process = self._free.get()
        try:
            if process is None or not process.alive:
                process = _Process()
            answer = process.ask(song.fileno(), {"most_minutes": most_minutes})
        except BaseException:
            if process:
                process.end()
            process = None
            raise
        finally:
            self._free.put(process)
        if "problem" in answer:
            raise _PROBLEMS[answer["problem"]](answer["detail"])
        return SongInfo(**answer["info"])

    def close(self) -> None:
        """End the processes that wait for songs."""
        while not self._free.empty():
            if process := self._free.get():
                process.end()


class _Process:
    def __init__(self) -> None:
        self._line, theirs = socket.socketpair()
        with theirs:
            # A session of its own, so that Ctrl-C in our terminal does not reach it before it reaches us.
            self._child = subprocess.Popen(
                _COMMAND, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, start_new_session=True
            )

    @property
    def alive(self) -> bool:
        return self._child.poll() is None

    def ask(self, descriptor: int, question: dict[str, Any]) -> dict[str, Any]:
        """Return the answer about the song that is open as `descriptor`. Raises NotAudio where the song killed us."""
        text = b""
        with suppress(OSError):
            socket.send_fds(self._line, [json.dumps(question).encode()], [descriptor])
            while not text.endswith(b"\n") and (more := self._line.recv(1 << 16)):
                text += more
        if text.endswith(b"\n"):
            answer: dict[str, Any] = json.loads(text)
            return answer
        status = self._child.wait()
        if -status in _FATAL:
            raise NotAudio("The file's header takes longer to read than any song's; convert it, then send it again.")
        raise RuntimeError(f"the process that probes songs ended with {status}")

    def end(self) -> None:
        self._line.close()
        self._child.kill()
        self._child.wait()
