"""A model hub: an HTTP server that speaks the few routes of the real one, with the faults that a test asks for."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import torch
from demucs.htdemucs import HTDemucs
from safetensors.torch import save

COMMIT = "c" * 40
DEMUCS_REPO = "adefossez/HTDemucs"
_PIECE = 16 * 1024
_SOURCES = ["drums", "bass", "other", "vocals"]
_SMALL: dict[str, Any] = {"channels": 8, "segment": 1, "bottom_channels": 32, "t_layers": 1, "t_heads": 2}


@dataclass
class FakeHub:
    """`files` by "owner/repo/name". The faults may be changed at any time.

    `bytes_per_second` slows answers down (0: not at all); `break_at` ends an answer once after so many bytes of the
    file; `refuse` answers each call with that status; `lie` changes a byte of each weight; `hang` sends nothing more.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    bytes_per_second: float = 0.0
    break_at: int | None = None
    refuse: int = 0
    lie: bool = False
    hang: bool = False
    url: str = ""
    calls: list[tuple[str, str, str]] = field(default_factory=list)  # method, name, range

    def sent_from(self, name: str) -> list[str]:
        """Return the ranges that were asked of the file, '' for all of it."""
        return [asked for method, path, asked in self.calls if method == "GET" and path.endswith(name)]


@contextmanager
def serving(hub: FakeHub) -> Iterator[FakeHub]:
    """Serve until the end of the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Routes)
    server.daemon_threads = True
    server.block_on_close = False
    server.hub = hub  # type: ignore[attr-defined]
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.hang = False
        server.shutdown()
        server.server_close()


def small_demucs(seed: int = 23) -> dict[str, bytes]:
    """Return the files of a small HTDemucs under the name of htdemucs."""
    torch.manual_seed(seed)
    state = {key: value.clone() for key, value in HTDemucs(_SOURCES, **_SMALL).state_dict().items()}
    metadata = {"klass": "demucs.htdemucs.HTDemucs", "args": json.dumps([_SOURCES]), "kwargs": json.dumps(_SMALL)}
    return {
        f"{DEMUCS_REPO}/htdemucs.yaml": b"models: ['small']\n",
        f"{DEMUCS_REPO}/small.safetensors": save(state, metadata),
    }


class _Routes(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    @property
    def _hub(self) -> FakeHub:
        found: FakeHub = self.server.hub  # type: ignore[attr-defined]
        return found

    def _answer(self, body: bool) -> None:
        hub, asked = self._hub, self.headers.get("Range", "")
        hub.calls.append((self.command, self.path, asked))
        if self.path == "/":
            self._end(200, {})
            return
        owner, _, _ = self.path.strip("/").partition("/resolve/")
        name = self.path.rpartition("/")[2]
        content = hub.files.get(f"{owner}/{name}")
        if hub.refuse:
            self._end(hub.refuse, {"Retry-After": "0"} if hub.refuse == 429 else {})
            return
        if content is None:
            self._end(404, {"X-Error-Code": "EntryNotFound"})
            return
        is_weight = name.endswith(".safetensors")
        etag = hashlib.sha256(content).hexdigest() if is_weight else hashlib.sha1(content).hexdigest()
        if hub.lie and is_weight:
            content = content[:-1] + bytes([content[-1] ^ 1])
        begin = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        facts = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "Content-Length": str(len(content) - begin)}
        if is_weight:
            facts |= {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(content))}
        if begin:
            facts["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        self._begin(206 if begin else 200, facts)
        if body:
            self._send(content, begin, is_weight)

    def _send(self, content: bytes, begin: int, is_weight: bool) -> None:
        hub = self._hub
        for at in range(begin, len(content), _PIECE):
            while hub.hang and is_weight:
                time.sleep(0.05)
            if is_weight and hub.break_at is not None and at >= hub.break_at:
                hub.break_at = None
                self.close_connection = True
                self.connection.close()
                return
            self.wfile.write(content[at : at + _PIECE])
            if hub.bytes_per_second:
                time.sleep(_PIECE / hub.bytes_per_second)

    def _begin(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _end(self, status: int, headers: dict[str, str]) -> None:
        self._begin(status, {**headers, "Content-Length": "0"})

    def handle(self) -> None:
        with suppress(OSError, ValueError):  # the caller has left, or a test broke the connection
            super().handle()

    def log_message(self, *_: object) -> None:
        """The tests read `calls`."""
