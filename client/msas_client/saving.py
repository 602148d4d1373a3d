"""Stems on the caller's disk: where they go, and how a download that broke off goes on."""

from __future__ import annotations

import re
from pathlib import Path

import requests

from msas_client.answers import Status, Track
from msas_client.errors import NotReachable
from msas_client.transport import Transport

_CHUNK = 256 * 1024
_TRIES = 4


def folder_for(status: Status, out: Path, name: str = "") -> Path:
    """Return OUT/{model}/{song}, as the `demucs` command has it; the song goes by `name`, else by the one that the
    service knows, else by its hash."""
    song = Path(re.split(r"[/\\]", name or status.name)[-1]).stem
    song = "".join(c for c in song if c.isprintable()).strip(". ")
    return out / _folder_name(status.model or "default") / (song or status.songhash)


def save(transport: Transport, track: Track, path: Path) -> Path:
    """Download `track` as `path`; under another name first, so that a file that is there is whole.

    What an interrupted download left is gone on with, where the stem is still the same.
    Raises NotReachable where the connection broke again and again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished, tag = path.with_name(path.name + ".part"), path.with_name(path.name + ".part.etag")
    for tries_left in reversed(range(_TRIES)):
        try:
            _download(transport, track, unfinished, tag)
            break
        except requests.RequestException as error:
            if not tries_left:
                raise NotReachable(f"The download of {track.name} broke off; try again.") from error
    unfinished.replace(path)
    tag.unlink(missing_ok=True)
    return path


def _download(transport: Transport, track: Track, unfinished: Path, tag: Path) -> None:
    start = unfinished.stat().st_size if unfinished.exists() and tag.exists() else 0
    headers = {"Range": f"bytes={start}-", "If-Range": tag.read_text()} if 0 < start < track.bytes else {}
    with transport.call("GET", track.url, stream=True, headers=headers) as answer:
        if etag := answer.headers.get("ETag"):
            tag.write_text(etag)
        with unfinished.open("ab" if answer.status_code == requests.codes.partial else "wb") as file:
            for chunk in answer.iter_content(_CHUNK):
                file.write(chunk)
    if unfinished.stat().st_size != track.bytes:
        raise requests.ConnectionError("the stem came short")


def _folder_name(text: str) -> str:
    return re.sub(r"[^\w.-]", "_", text).strip(".") or "default"
