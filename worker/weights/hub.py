"""Downloads files of the model hub into the hub's own cache, resumed after a break and checked by their SHA-256.

The hub's client asks for a file's size and hash, reads it, and links it into the cache. Between, the file grows under a
name of its own beside its place, so that another process, also after a kill, goes on where the last one ended.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeAlias

import httpx2
import requests
from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.file_download import HfFileMetadata, http_get, repo_folder_name
from huggingface_hub.utils._headers import build_hf_headers
from huggingface_hub.utils.tqdm import disable_progress_bars

from msas.errors import ModelUnavailable

# Told how many bytes are there and how many there will be. What it raises ends the download, which can be resumed.
OnBytes: TypeAlias = Callable[[int, int], None]

_SHA256 = re.compile(r"[0-9a-f]{64}")  # the ETag of files in LFS, as all weights are
_LOCK_SECONDS = 0.2
# The client hands on, and keeps at a break, no smaller pieces; its own 10 MB are ten seconds at 1 MB/s.
constants.DOWNLOAD_CHUNK_SIZE = 128 * 1024
disable_progress_bars()


@dataclass(frozen=True)
class HubFile:
    """A file of a repository on the hub. `sha256` is empty where only the hub knows it."""

    repo: str
    name: str
    revision: str = constants.DEFAULT_REVISION
    sha256: str = ""

    def cached(self) -> Path | None:
        """Return its path in the hub's cache; None where it is not there."""
        found = try_to_load_from_cache(self.repo, self.name, revision=self.revision)
        return Path(found) if isinstance(found, str) else None


class WeightsDamaged(ModelUnavailable):
    """What was downloaded is not what the hub has."""


def fetch(files: Sequence[HubFile], on_bytes: OnBytes = lambda _done, _total: None) -> list[Path]:
    """Return the paths of the files in the cache; download those that are not there. Raises ModelUnavailable."""
    known = [file.cached() for file in files]
    if all(known):
        return [path for path in known if path]
    with _translated(files[0]):
        facts = [_metadata(file) for file in files]
        total = sum(fact.size or 0 for fact in facts)
        done, paths = 0, []
        for file, fact in zip(files, facts, strict=True):
            paths.append(_fetch(file, fact, partial(_add, on_bytes, done, total)))
            done += fact.size or 0
            on_bytes(done, total)
        return paths


def _add(on_bytes: OnBytes, before: int, total: int, size: int) -> None:
    on_bytes(before + size, total)


def check(path: Path, sha256: str = "") -> None:
    """Raise WeightsDamaged, and remove the file, where the SHA-256 of a file in the cache is not what it should be."""
    blob = path.resolve()
    expected = sha256 or (blob.name if _SHA256.fullmatch(blob.name) else "")
    if expected and digest(blob) != expected:
        for damaged in (path, blob):
            with suppress(OSError):
                damaged.unlink()
        raise WeightsDamaged(
            f"The weights in {path.name} were damaged: their SHA-256 is not the one that the hub states; the file "
            "is removed and will be downloaded again."
        )


def _fetch(file: HubFile, fact: HfFileMetadata, on_size: Callable[[int], None]) -> Path:
    assert fact.etag, "the hub states it"
    folder = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=file.repo, repo_type="model") / "blobs"
    folder.mkdir(parents=True, exist_ok=True)
    blob, part = folder / fact.etag, folder / f"{fact.etag}.part"
    with _lock(folder / f"{fact.etag}.lock", lambda: on_size(_size(part))):
        if not blob.exists():
            _grow(part, file, fact, on_size)
            _check_part(part, file, fact)
            part.replace(blob)
    # The client finds the blob and only links it.
    return Path(hf_hub_download(file.repo, file.name, revision=file.revision))


class _Part:
    """The file of a download, which tells its size after each piece; the client's `http_get` writes to it."""

    def __init__(self, file: Any, on_size: Callable[[int], None]) -> None:
        self._file, self._on_size = file, on_size
        self.seek, self.tell, self.truncate = file.seek, file.tell, file.truncate

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._file.flush()
        self._on_size(self._file.tell())


def _grow(part: Path, file: HubFile, fact: HfFileMetadata, on_size: Callable[[int], None]) -> None:
    """Download what is missing of `part`."""
    have = _size(part)
    if fact.size is not None:
        if have > fact.size:
            part.unlink()
            have = 0
        _check_space(part.parent, fact.size - have)
    with part.open("ab") as target:
        target.seek(0, os.SEEK_END)
        on_size(have)
        http_get(
            _url(file),
            _Part(target, on_size),  # type: ignore[arg-type]
            resume_size=have,
            headers=build_hf_headers(),
            expected_size=fact.size,
        )


def _check_part(part: Path, file: HubFile, fact: HfFileMetadata) -> None:
    expected = file.sha256 or (fact.etag if fact.etag and _SHA256.fullmatch(fact.etag) else "")
    if expected and digest(part) != expected:
        part.unlink()  # or it would be resumed for ever
        raise WeightsDamaged(
            f"What the model hub sent as {file.name} is damaged or another file: its SHA-256 is not the one that is "
            "stated; it was thrown away."
        )


def _check_space(folder: Path, missing: int) -> None:
    found = os.statvfs(folder)
    if found.f_bavail * found.f_frsize < missing:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def _url(file: HubFile) -> str:
    return hf_hub_url(file.repo, file.name, revision=file.revision)


def _metadata(file: HubFile) -> HfFileMetadata:
    return get_hf_file_metadata(_url(file))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def digest(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _lock(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold a lock that the kernel gives back when this process ends, however it ends; meanwhile call `waiting`."""
    with path.open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                waiting()
                time.sleep(_LOCK_SECONDS)
            except OSError:  # some network file systems have no locks: there each process downloads for itself
                break
        yield


@contextmanager
def _translated(file: HubFile) -> Iterator[None]:
    """Raise ModelUnavailable for what the hub, the network or the disk refuses."""
    try:
        yield
    except HfHubHTTPError as error:
        status = error.response.status_code
        why = {
            401: "it asks for a token that may read it: set HF_TOKEN",
            403: "its terms must be accepted, or HF_TOKEN may not read it",
            404: "it is not there (any more)",
            429: "it gets too many calls from here; wait, or set HF_TOKEN",
        }.get(status, "try again later")
        raise ModelUnavailable(
            f"The model hub does not give out {file.repo}/{file.name} (HTTP {status}): {why}."
        ) from error
    except (httpx2.HTTPError, requests.RequestException) as error:
        raise ModelUnavailable(
            f"The model hub can not be reached or broke off ({type(error).__name__}) while {file.repo}/{file.name} was "
            "fetched; what came is kept, and the download goes on from there."
        ) from error
    except OSError as error:
        raise ModelUnavailable(_about_disk(error)) from error


def _about_disk(error: OSError) -> str:
    folder = constants.HF_HUB_CACHE
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk of the model cache is full: make room in {folder}, or set HF_HOME to another folder."
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return f"The model cache {folder} can not be written: set HF_HOME to a folder that can."
    return (
        f"The weights could not be fetched into {folder} ({type(error).__name__}: {str(error)[:150]}); try again later."
    )


def is_offline() -> bool:
    """Say whether the hub's own variable HF_HUB_OFFLINE forbids to ask it; our images set it."""
    return bool(constants.HF_HUB_OFFLINE)


@cache
def hub_answers(seconds: float = 3.0) -> bool:
    """Say whether the model hub may and can be reached, within `seconds` even where name lookup hangs."""
    if is_offline():
        return False
    answered = threading.Event()

    def ask() -> None:
        try:
            requests.head(constants.ENDPOINT, timeout=seconds)
            answered.set()
        except requests.RequestException:
            pass

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(seconds)
    return answered.is_set()
