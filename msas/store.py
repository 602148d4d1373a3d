"""The object store: songs in one bucket, stems in the other. The only place that names an object's key."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from minio import Minio
from minio.deleteobjects import DeleteObject
from minio.error import MinioException, S3Error
from urllib3 import BaseHTTPResponse, PoolManager, Timeout
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from msas.problem import StoreUnavailable
from msas.settings import Settings

CONTENT_TYPES = {"mp3": "audio/mpeg", "wav": "audio/wav", "flac": "audio/flac"}
_PART_BYTES = 5 * 1024 * 1024  # the least that S3 takes in one part of an upload
_CHUNK = 256 * 1024


class ObjectMissing(LookupError):
    """The store has no object under that key."""


class Readable(Protocol):
    """A file as the store reads it: `size` bytes at a time, fewer at its end."""

    def read(self, size: int) -> bytes: ...


@dataclass(frozen=True)
class StoredStem:
    """An open download of one stem: its size in bytes, its entity tag, and the bytes, to be read once."""

    size: int
    etag: str
    content_type: str
    chunks: Iterator[bytes]


class Store:
    """Songs and stems in an S3 store. Every method raises StoreUnavailable where it does not answer."""

    def __init__(self, minio: Minio, bucket_in: str = "queue", bucket_out: str = "output") -> None:
        self.minio, self.bucket_in, self.bucket_out = minio, bucket_in, bucket_out
        self._buckets_made = False

    @classmethod
    def from_settings(cls, settings: Settings, *, retries: int = 1) -> Store:
        """Connect lazily; each call waits at most 1 s for a connection and 30 s for data, `retries` times more."""
        http = PoolManager(
            maxsize=max(10, settings.rest_threads),
            timeout=Timeout(connect=1, read=30),
            retries=Retry(total=retries, backoff_factor=0.2, status_forcelist=[500, 502, 503, 504]),
        )
        minio = Minio(
            settings.minio_host,
            settings.minio_access_key,
            settings.minio_secret_key,
            secure=settings.minio_secure,
            http_client=http,
        )
        return cls(minio, settings.bucket_in, settings.bucket_out)

    def ready(self) -> None:
        """Make the buckets where they are absent; return where the store answers."""
        with _answering():
            for bucket in (self.bucket_in, self.bucket_out):
                if not self.minio.bucket_exists(bucket):
                    self._make_bucket(bucket)
        self._buckets_made = True

    def put_song(self, songhash: str, song: BinaryIO, size: int) -> None:
        """Store `size` bytes of `song` for a worker to fetch."""
        self._ensure_buckets()
        with _answering():
            self.minio.put_object(self.bucket_in, songhash, song, size)

    def fetch_song(self, songhash: str, path: Path) -> None:
        """Write the song to the file `path`. Raises ObjectMissing where the store does not have it."""
        self._ensure_buckets()
        with _answering():
            self.minio.fget_object(self.bucket_in, songhash, str(path))

    def put_stem(self, songhash: str, stem: str, extension: str, file: Readable) -> None:
        """Store what `file` gives until its end as a stem of the song: part by part, as it is being made.

        Where `file` raises, so does this, and nothing of the stem is left.
        """
        self._ensure_buckets()
        with _answering():
            self.minio.put_object(
                self.bucket_out,
                f"{songhash}-{stem}.{extension}",
                cast(BinaryIO, file),
                length=-1,
                part_size=_PART_BYTES,
                num_parallel_uploads=1,
                content_type=CONTENT_TYPES[extension],
            )

    def put_report(self, songhash: str, report: dict[str, Any]) -> None:
        """Store the report on the song's separation beside its stems."""
        content = json.dumps(report, indent=1, allow_nan=False).encode()
        with _answering():
            self.minio.put_object(
                self.bucket_out,
                f"{songhash}-report.json",
                io.BytesIO(content),
                len(content),
                content_type="application/json",
            )

    def open_stem(self, songhash: str, stem: str, extension: str, *, head: bool = False) -> StoredStem:
        """Open a stem for download, in chunks; with `head`, without its bytes.

        Raises ObjectMissing where the store does not have it.
        """
        key = f"{songhash}-{stem}.{extension}"
        with _answering():
            if head:
                found = self.minio.stat_object(self.bucket_out, key)
                return StoredStem(found.size or 0, found.etag or "", CONTENT_TYPES[extension], iter(()))
            response = self.minio.get_object(self.bucket_out, key)
        return StoredStem(
            int(response.headers["Content-Length"]),
            response.headers["ETag"].strip('"'),
            CONTENT_TYPES[extension],
            _chunks(response),
        )

    def remove_stem(self, songhash: str, stem: str, extension: str) -> None:
        """Remove one stem; it need not be there."""
        with _answering():
            self.minio.remove_object(self.bucket_out, f"{songhash}-{stem}.{extension}")

    def remove_song(self, songhash: str) -> None:
        """Remove the song and everything that was made of it."""
        self._ensure_buckets()
        with _answering():
            self.minio.remove_object(self.bucket_in, songhash)
            made = self.minio.list_objects(self.bucket_out, prefix=f"{songhash}-")
            doomed = [DeleteObject(found.object_name) for found in made if found.object_name]
            for error in self.minio.remove_objects(self.bucket_out, doomed):
                raise StoreUnavailable(f"The store kept {error.name}: {error.message}; try again.")

    def _ensure_buckets(self) -> None:
        if not self._buckets_made:
            self.ready()

    def _make_bucket(self, bucket: str) -> None:
        try:
            self.minio.make_bucket(bucket)
        except S3Error as error:
            if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                raise  # else another process was faster


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except S3Error as error:
        if error.code in ("NoSuchKey", "NoSuchObject"):
            raise ObjectMissing(error.object_name) from None
        raise StoreUnavailable(f"The store answers {error.code}; try again in a few seconds.") from error
    except (MinioException, HTTPError) as error:
        raise StoreUnavailable(
            f"The store does not answer ({type(error).__name__}); try again in a few seconds."
        ) from error


def _chunks(response: BaseHTTPResponse) -> Iterator[bytes]:
    try:
        yield from response.stream(_CHUNK)
    finally:
        response.close()
        response.release_conn()
