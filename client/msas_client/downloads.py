"""Saves stems to disk: chooses folder and file name, and resumes a download that broke off."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container
from pathlib import Path

import requests

from msas_client._http import Transport
from msas_client.errors import NotReachable
from msas_client.types import Status, Track

_CHUNK = 256 * 1024
_PARTIAL, _NOT_MODIFIED = 206, 304
_TRIES = 4  # in which not a byte more came
_LONGEST_NAME = 200  # bytes; file systems take 255


def place_for(transport: Transport, status: Status, out: Path, name: str = "", taken: Container[Path] = ()) -> Path:
    """Return the folder for the song's stems: OUT/{model}/{song}, as the `demucs` command has it.

    The song goes by `name`, else by the one that the service knows, else by its hash. Where that folder is `taken`,
    or has other stems under these names, it is {song} and the first digits of the hash: nothing is overwritten.
    """
    title = _plain(Path(re.split(r"[/\\]", name or status.name)[-1]).stem) or status.songhash
    folder = out / (_plain(status.model or "") or "default") / title
    if folder not in taken and not any(
        _is_other(transport, track, stem_path(track, folder)) for track in status.tracks
    ):
        return folder
    return folder.with_name(f"{title} {status.songhash[:8]}")


def stem_path(track: Track, folder: Path) -> Path:
    """Return the stem's path in the song's folder."""
    return folder / f"{_plain(track.name)}.{_plain(track.extension)}"


def save(transport: Transport, track: Track, path: Path) -> Path:
    """Download `track` as `path`, unless it is there; under another name first, so that what is there is whole.

    What an interrupted download left is gone on with, where the stem is still the same.
    Raises NotReachable where the connection broke again and again.
    """
    if _is_there(transport, track, path):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished, tag = path.with_name(path.name + ".part"), path.with_name(path.name + ".part.etag")
    tries = 0
    while True:
        before = _size(unfinished)
        try:
            _download(transport, track, unfinished, tag)
            break
        except requests.RequestException as error:
            tries = 0 if _size(unfinished) > before else tries + 1
            if tries == _TRIES:
                raise NotReachable(f"The download of {track.name} broke off again and again; try later.") from error
    unfinished.replace(path)
    tag.unlink(missing_ok=True)
    return path


def _download(transport: Transport, track: Track, unfinished: Path, tag: Path) -> None:
    start, known = _size(unfinished), tag.read_text() if tag.exists() else ""
    headers = {"Accept-Encoding": "identity"}  # or the bytes that we count would not be those of the stem
    if known and 0 < start < track.bytes:
        headers |= {"Range": f"bytes={start}-", "If-Range": known}
    with transport.call("GET", track.url, stream=True, headers=headers) as answer:
        etag = answer.headers.get("ETag", "")
        with unfinished.open("ab" if answer.status_code == _PARTIAL else "wb") as file:
            tag.write_text(etag)  # after the file was emptied: it must never stand beside another stem's bytes
            for chunk in answer.iter_content(_CHUNK):
                file.write(chunk)
    if not (etag == _digest(unfinished) if _is_digest(etag) else _size(unfinished) == track.bytes):
        unfinished.unlink()
        raise requests.ConnectionError("the stem came damaged")


def _is_there(transport: Transport, track: Track, path: Path) -> bool:
    """Say whether the file is the stem: the service's ETags are the digests."""
    if not path.is_file() or path.stat().st_size != track.bytes:
        return False
    return transport.call("HEAD", track.url, headers={"If-None-Match": _digest(path)}).status_code == _NOT_MODIFIED


def _is_other(transport: Transport, track: Track, path: Path) -> bool:
    return path.exists() and not _is_there(transport, track, path)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return f'"{hashlib.file_digest(file, "sha256").hexdigest()}"'


def _is_digest(etag: str) -> bool:
    return re.fullmatch('"[0-9a-f]{64}"', etag) is not None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _plain(name: str) -> str:
    """Return `name` as that of one file, wherever it came from: no way out of its folder, nothing unprintable."""
    text = "".join(c for c in name if c.isprintable() and c not in '/\\:*?"<>|').strip(". ")
    return text.encode()[:_LONGEST_NAME].decode(errors="ignore")
