"""`python -m rest.uploads.probe_child`: the child process that reads songs' formats and lengths with FFmpeg.

FFmpeg can take hours over a few megabytes of tags, and nothing stops it but the end of its process. So whoever takes
songs from strangers has them probed here. Standard input is a socket: for each song there comes a line of JSON with
the song's open file beside it, and a line of JSON goes back. The other side closing the socket ends the process.
"""

from __future__ import annotations

import io
import json
import math
import os
import resource
import signal
import socket
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, cast

from msas.audio_file import probe
from msas.errors import BadSong, NotAudio

CPU_SECONDS = 2  # of computing for one song, to a second more; a song of hours takes 0.05
MEMORY_BYTES = 512 << 20  # that probing may take, address space included: threads reserve 64 MB each
_LINE = 4096


class _Reader(io.RawIOBase):
    """The file behind a descriptor that another process has open too, whose position stays where it is."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._at = descriptor, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        found = os.pread(self._descriptor, size if size and size > 0 else 1 << 20, self._at) if size else b""
        self._at += len(found)
        return found

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: os.fstat(self._descriptor).st_size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        return self._at


def main() -> int:
    """Answer until the other side is gone; return the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # meant for who started us, and whose end is ours
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limit_memory(MEMORY_BYTES)
    with socket.socket(fileno=sys.stdin.fileno()) as line:
        while True:
            asked, descriptors, _, _ = socket.recv_fds(line, _LINE, 1)
            if not asked:
                return 0
            _allow(CPU_SECONDS)
            try:
                answer = _answer(descriptors[0], **json.loads(asked))
            finally:
                os.close(descriptors[0])
            line.sendall(json.dumps(answer).encode() + b"\n")


def _answer(descriptor: int, most_minutes: float) -> dict[str, Any]:
    """Return what the song is, or what is wrong with it."""
    try:
        return {"info": asdict(probe(cast(IO[bytes], _Reader(descriptor)), most_minutes))}
    except BadSong as problem:
        return {"problem": problem.code, "detail": problem.detail}
    except MemoryError:
        detail = "The file's header takes more memory to read than any song's; convert it, then send it again."
        return {"problem": NotAudio.code, "detail": detail}


def limit_memory(size: int) -> None:
    """Let the process allocate at most `size` bytes more; FFmpeg and Python then get an error."""
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if sys.platform == "linux" else 0
    if pages:
        most = pages * resource.getpagesize() + size
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _allow(seconds: int) -> None:
    """Let the process compute for so long from now on; then the system ends it with SIGXCPU."""
    used = math.ceil(time.process_time())
    resource.setrlimit(resource.RLIMIT_CPU, (used + seconds, resource.RLIM_INFINITY))


if __name__ == "__main__":
    sys.exit(main())
