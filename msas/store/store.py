"""The object store: songs in one bucket, stems in the other. Only this module and `stems` name an object's key.

<bucket_in>/<songhash>                         the song
<bucket_in>/<songhash>.json                    its job's message, until the job succeeded
<bucket_out>/<songhash>-<stem>.<ext>           a stem; as `mixture`, the song itself, encoded as its stems are
<bucket_out>/<songhash>-peaks.json             how they look, where in their files they begin (worker/pipeline/peaks.py)
<bucket_out>/<songhash>-<tag>-<stem>.<ext>     the same of another attempt than the first; `tag` in its report is the
<bucket_out>/<songhash>-<tag>-peaks.json       tag, 16 hexadecimal digits
<bucket_out>/<songhash>-report.json            the report: what it names is published, and nothing else
<bucket_out>/<songhash>-first                  the nonce of the attempt that stores objects without a tag, until its
                                               report is stored
<bucket_out>/<songhash>-owner-<name>           empty: the key of this name sent the song
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from minio.datatypes import Object
from minio.deleteobjects import DeleteObject

from msas.errors import StoreUnavailable
from msas.store.stems import StemStore


class Store(StemStore):
    """Songs and stems in an S3 store. Every method raises StoreUnavailable where it does not answer."""

    def put_song(self, songhash: str, song: BinaryIO, size: int) -> None:
        """Store `size` bytes of `song`, from its beginning, for a worker to fetch."""
        self._ensure_buckets()
        song.seek(0)
        with self._answering():
            self.minio.put_object(self.bucket_in, songhash, song, size)

    def fetch_song(self, songhash: str, path: Path) -> None:
        """Write the song to the file `path`. Raises ObjectMissing where the store does not have it."""
        self._ensure_buckets()
        with self._answering():
            self.minio.fget_object(self.bucket_in, songhash, str(path))

    def put_message(self, songhash: str, message: bytes) -> None:
        """Keep a job's message beside its song, so that a Redis that forgot everything loses no job."""
        self._put(self.bucket_in, f"{songhash}.json", message)

    def message(self, songhash: str) -> bytes | None:
        """Return the message that lies beside the song; None where there is none."""
        return self._get(self.bucket_in, f"{songhash}.json")

    def remove_message(self, songhash: str) -> None:
        """Remove the message: the job succeeded. It need not be there."""
        with self._answering():
            self.minio.remove_object(self.bucket_in, f"{songhash}.json")

    def messages(self) -> Iterator[tuple[str, str]]:
        """Yield the songhash of each message that lies beside its song, and a mark that changes with the message."""
        for key, found in self._list(self.bucket_in):
            if key.endswith(".json"):
                yield key.removesuffix(".json"), f"{found.etag} {found.last_modified}"

    def put_owner(self, songhash: str, name: str) -> None:
        """Keep, for a Redis that loses it, that a key of this name sent the song."""
        self._put(self.bucket_out, f"{songhash}-owner-{name}", b"")

    def remove_owner(self, songhash: str, name: str) -> None:
        """Take the song away from this owner."""
        with self._answering():
            self.minio.remove_object(self.bucket_out, f"{songhash}-owner-{name}")

    def owners(self, songhash: str) -> list[str]:
        """Return the names of the keys that sent the song."""
        prefix = f"{songhash}-owner-"
        return [key.removeprefix(prefix) for key, _ in self._list(self.bucket_out, prefix)]

    def list_after(self, bucket: str, key: str) -> Iterator[tuple[str, Object]]:
        """Yield the objects of one of our buckets whose keys come after `key`, in the order of their keys."""
        return self._list(bucket, after=key)

    def has_objects(self, songhash: str) -> bool:
        """Say whether any object belongs to the song."""
        return any(True for bucket in (self.bucket_out, self.bucket_in) for _ in self._list(bucket, songhash))

    def separated_bytes(self, songhash: str) -> int:
        """Return the size of what was made of the song."""
        return sum(found.size or 0 for _, found in self._list(self.bucket_out, f"{songhash}-"))

    def remove_song(self, songhash: str) -> tuple[int, int]:
        """Remove the song and everything that was made of it: first the report, so that no stem is served alone.

        Returns how many objects there were, and their bytes.
        """
        self._ensure_buckets()
        with self._answering():
            stems = dict(self._list(self.bucket_out, f"{songhash}-"))
            songs = dict(self._list(self.bucket_in, songhash))
            self.minio.remove_object(self.bucket_out, f"{songhash}-report.json")
            for error in self.minio.remove_objects(self.bucket_out, map(DeleteObject, stems)):
                raise StoreUnavailable(f"The store kept {error.name}: {error.message}; try again.")
            self.minio.remove_object(self.bucket_in, songhash)
            self.minio.remove_object(self.bucket_in, f"{songhash}.json")
        found = [*stems.values(), *songs.values()]
        return len(found), sum(each.size or 0 for each in found)
