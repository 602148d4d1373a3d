"""An S3 client without a server: buckets in memory, for tests that make thousands of calls."""

from __future__ import annotations

import hashlib
import io
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, cast

from minio import Minio
from minio.datatypes import Object
from minio.deleteobjects import DeleteObject
from minio.error import S3Error


@dataclass
class Kept:
    """An object in a bucket; `number` differs between two puts of the same bytes."""

    content: bytes
    stored: datetime
    number: int

    @property
    def etag(self) -> str:
        return f"{hashlib.md5(self.content).hexdigest()}-{self.number}"


class _Response(io.BytesIO):
    """The answer of Minio to a GET, as far as the store uses it."""

    def __init__(self, kept: Kept) -> None:
        super().__init__(kept.content)
        self.headers = {"ETag": f'"{kept.etag}"'}

    def release_conn(self) -> None:
        """Do nothing, since there is no connection."""


class MemoryMinio:
    """The methods of Minio that the store uses. Each is atomic, as on a real server."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Kept] = {}
        self.puts: Counter[str] = Counter()
        self._numbers = itertools.count()

    def client(self) -> Minio:
        """Return this object under the type that the store expects."""
        return cast(Minio, self)

    def bucket_exists(self, _bucket: str) -> bool:
        return True

    def put_object(self, bucket: str, key: str, data: BinaryIO, *_: Any, **__: Any) -> None:
        self._put_object(bucket, key, data.read(), {})

    def _put_object(self, bucket: str, key: str, content: bytes, headers: Mapping[str, str]) -> None:
        there = self.objects.get((bucket, key))
        is_wanted = "If-Match" not in headers or (there and headers["If-Match"] == f'"{there.etag}"')
        if not is_wanted or (there and "If-None-Match" in headers):
            raise S3Error(cast(Any, None), "PreconditionFailed", None, None, None, None, bucket, key)
        self.puts[key] += 1
        self.objects[bucket, key] = Kept(content, datetime.now(UTC), next(self._numbers))

    def get_object(self, bucket: str, key: str) -> _Response:
        return _Response(self._kept(bucket, key))

    def stat_object(self, bucket: str, key: str) -> Object:
        return Object(bucket, key, etag=self._kept(bucket, key).etag)

    def fget_object(self, bucket: str, key: str, path: str) -> None:
        Path(path).write_bytes(self._kept(bucket, key).content)

    def remove_object(self, bucket: str, key: str) -> None:
        self.objects.pop((bucket, key), None)

    def remove_objects(self, bucket: str, doomed: Iterable[DeleteObject]) -> Iterator[Any]:
        for each in doomed:
            self.remove_object(bucket, each.name)
        return iter(())

    def list_objects(self, bucket: str, prefix: str = "", start_after: str | None = None) -> Iterator[Object]:
        for (inside, key), kept in sorted(self.objects.items(), key=lambda item: item[0]):
            if inside == bucket and key.startswith(prefix) and key > (start_after or ""):
                yield Object(bucket, key, last_modified=kept.stored, etag=kept.etag, size=len(kept.content))

    def age(self, days: float, songhash: str = "") -> None:
        """Make the objects of the song, or all objects, this many days older."""
        for (_, key), kept in self.objects.items():
            if key.startswith(songhash):
                kept.stored -= timedelta(days=days)

    def keys(self, songhash: str) -> list[str]:
        """Return the keys of the song's objects in both buckets."""
        return sorted(key for _, key in self.objects if key.startswith(songhash))

    def _kept(self, bucket: str, key: str) -> Kept:
        if (bucket, key) not in self.objects:
            raise S3Error(cast(Any, None), "NoSuchKey", None, None, None, None, bucket, key)
        return self.objects[bucket, key]
