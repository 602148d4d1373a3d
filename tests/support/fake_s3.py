"""An S3 client without a server: buckets in memory, for tests that go through thousands of runs."""

from __future__ import annotations

import hashlib
import io
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
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
    """An object as it lies in a bucket; `number` tells one put of the same bytes from the next."""

    content: bytes
    stored: datetime
    number: int


class _Response(io.BytesIO):
    """What Minio answers to a GET, as far as the store reads it."""

    def release_conn(self) -> None:
        """There is no connection."""


class MemoryMinio:
    """The calls of Minio that the store makes. Each is one atomic step, as it is on a real server."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Kept] = {}
        self.puts: Counter[str] = Counter()
        self._numbers = itertools.count()

    def client(self) -> Minio:
        """Return this, as what the store takes it for."""
        return cast(Minio, self)

    def bucket_exists(self, _bucket: str) -> bool:
        return True

    def put_object(self, bucket: str, key: str, data: BinaryIO, *_: Any, **__: Any) -> None:
        stored = datetime.now(UTC)
        self.puts[key] += 1
        self.objects[bucket, key] = Kept(data.read(), stored, next(self._numbers))

    def get_object(self, bucket: str, key: str) -> _Response:
        return _Response(self._kept(bucket, key).content)

    def fget_object(self, bucket: str, key: str, path: str) -> None:
        Path(path).write_bytes(self._kept(bucket, key).content)

    def remove_object(self, bucket: str, key: str) -> None:
        self.objects.pop((bucket, key), None)

    def remove_objects(self, bucket: str, doomed: Iterable[DeleteObject]) -> Iterator[Any]:
        for each in doomed:
            self.remove_object(bucket, each.name)
        return iter(())

    def list_objects(self, bucket: str, prefix: str = "") -> Iterator[Object]:
        for (inside, key), kept in sorted(self.objects.items(), key=lambda item: item[0]):
            if inside == bucket and key.startswith(prefix):
                tag = f"{hashlib.md5(kept.content).hexdigest()}-{kept.number}"
                yield Object(bucket, key, last_modified=kept.stored, etag=tag, size=len(kept.content))

    def age(self, days: float, songhash: str = "") -> None:
        """Let what is stored of the song, or everything, be so many days older."""
        for (_, key), kept in self.objects.items():
            if key.startswith(songhash):
                kept.stored -= timedelta(days=days)

    def keys(self, songhash: str) -> list[str]:
        """Return the keys of the song's objects, of both buckets."""
        return sorted(key for _, key in self.objects if key.startswith(songhash))

    def _kept(self, bucket: str, key: str) -> Kept:
        if (bucket, key) not in self.objects:
            raise S3Error(cast(Any, None), "NoSuchKey", None, None, None, None, bucket, key)
        return self.objects[bucket, key]
