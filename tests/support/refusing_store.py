"""An HTTP proxy before an S3 server that answers some requests itself, with an error of S3."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

# Given the method and the path, with its query: the status and the code of the error; None: the store answers.
Refuse = Callable[[str, str], tuple[int, str] | None]


class RefusingStore:
    """A context manager; `address` is what MINIO_HOST should be. `refused` counts the errors by their codes."""

    def __init__(self, target: str, refuse: Refuse) -> None:
        """`target` is the host and port of the server; `refuse` may be replaced at any time."""
        self.refuse, self.refused = refuse, Counter[str]()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if found := proxy.refuse(self.command, self.path):
                    proxy.refused[found[1]] += 1
                    content = f"<Error><Code>{found[1]}</Code><Message>no</Message></Error>".encode()
                    self.answer(found[0], [("Content-Type", "application/xml")], content)
                    return
                connection = HTTPConnection(target, timeout=60)
                try:
                    connection.request(self.command, self.path, body, dict(self.headers.items()))
                    response = connection.getresponse()
                    self.answer(response.status, response.getheaders(), response.read())
                except (OSError, HTTPException):  # the server is away, or the client has gone
                    self.close_connection = True
                finally:
                    connection.close()

            def answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
                self.send_response_only(status)
                length = [value for name, value in headers if name.lower() == "content-length"]
                for name, value in headers:
                    if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                        self.send_header(name, value)
                is_head = self.command == "HEAD"
                self.send_header("Content-Length", length[0] if is_head and length else str(len(content)))
                self.end_headers()
                if not is_head:
                    self.wfile.write(content)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> RefusingStore:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
