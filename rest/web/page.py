"""The web page: a document that is never kept, and files that may be kept for ever: their address changes with them.

The files lie beside this one and go out as they are: there is no build step. All of them are served under one digest
of all, so that modules find each other by their plain names and never meet one of another version.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from pydantic import BaseModel

from msas.errors import NotFound
from rest.api.openapi import problem_responses

blueprint = APIBlueprint("page", __name__)

WELCOME = """MSaaS, Music Separation as a Service.
POST a song to /apiv1/separate, ask /apiv1/status/<songhash>, fetch /apiv1/track/<songhash>/<stem>.
"""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_DOCUMENT = "index.html"
_KINDS = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "png": "image/png",
    "svg": "image/svg+xml; charset=utf-8",
    "webmanifest": "application/manifest+json; charset=utf-8",
}
_IN_WORKERS = "/worker/"  # scripts in such a folder run in a worker, which fetches them when it starts
_SERVICE_WORKER = "offline.js"
_FOREVER, _ASK_EACH_TIME = "public, max-age=31536000, immutable", "no-cache"


@dataclass(frozen=True)
class File:
    """A file as it goes out."""

    kind: str
    plain: bytes
    zipped: bytes

    def answer(self, caching: str) -> Response:
        """Send it, compressed where the caller can read that."""
        small = bool(request.accept_encodings["gzip"])
        response = Response(self.zipped if small else self.plain, content_type=self.kind)
        if small:
            response.content_encoding = "gzip"
        response.vary.update(["Accept-Encoding", "Accept"])
        response.headers["Cache-Control"] = caching
        response.headers["Content-Security-Policy"] = POLICY
        return response


@dataclass(frozen=True)
class Page:
    """The document and all its files, by their paths; `digest` changes with any of them."""

    digest: str
    files: dict[str, File]


@cache
def page() -> Page:
    """Read the page from its folder, once."""
    folder = Path(__file__).parent
    ours = [path for path in folder.rglob("*") if path.name.rpartition(".")[2] in _KINDS]  # and not an editor's
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(ours)}
    digest = hashlib.sha256(b"".join(name.encode() + content for name, content in found.items())).hexdigest()[:16]
    modules = "".join(
        f'<link rel="modulepreload" href="/page/{digest}/{name}">\n'
        for name in found
        if name.endswith(".js") and _IN_WORKERS not in f"/{name}"
    )
    document = found[_DOCUMENT].decode().replace("{digest}", digest).replace("{modules}", modules)
    found[_DOCUMENT] = document.encode()
    return Page(digest, {name: _file(name, content) for name, content in found.items()})


def _file(name: str, content: bytes) -> File:
    return File(_KINDS[name.rpartition(".")[2]], content, gzip.compress(content, mtime=0))


class FilePath(BaseModel):
    digest: str
    name: str


@blueprint.get(
    "/",
    responses={
        200: {"content": {kind: {"schema": {"type": "string"}} for kind in ("text/html", "text/plain")}},
        **problem_responses(inside=False),
    },
)
def index() -> Response:
    """Always 200, for cloud load balancers ask for it: the page to a browser, a line of text to others."""
    if request.accept_mimetypes.best_match(["text/plain", "text/html"]) == "text/html":
        return page().files[_DOCUMENT].answer(_ASK_EACH_TIME)
    response = Response(WELCOME, content_type="text/plain; charset=utf-8")
    response.vary.add("Accept")
    return response


@blueprint.get("/page/<digest>/<path:name>", doc_ui=False)
def asset(path: FilePath) -> Response:
    """One of the page's files. Of another version than ours, as pods have while they are replaced: ours, unkept."""
    found = page().files.get(path.name)
    if found is None or path.name == _DOCUMENT:
        raise NotFound(f"The page has no file {path.name[:80]!r}; reload it.")
    answer = found.answer(_FOREVER if path.digest == page().digest else _ASK_EACH_TIME)
    if path.name.endswith(f"/{_SERVICE_WORKER}"):
        answer.headers["Service-Worker-Allowed"] = "/"
    return answer
