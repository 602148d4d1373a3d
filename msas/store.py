"""The object store: songs in one bucket, stems in the other. Only this module and `stems` name an object's key.

<bucket_in>/<songhash>                         the song
<bucket_in>/<songhash>.json                    its job's message, until the job succeeded
<bucket_out>/<songhash>-<stem>.<ext>           a stem; as `mixture`, the song itself, encoded as its stems are
<bucket_out>/<songhash>-peaks.json             how they look, and where in their files they begin (worker/peaks.py)
<bucket_out>/<songhash>-<tag>-<stem>.<ext>     the same of another attempt than the first; `tag` in its report is the
<bucket_out>/<songhash>-<tag>-peaks.json       tag, 16 hexadecimal digits
<bucket_out>/<songhash>-report.json            the report: what it names is published, and nothing else
<bucket_out>/<songhash>-first                  the nonce of the attempt that stores objects without a tag, until its
                                               report is stored
<bucket_out>/<songhash>-owner-<name>           empty: the key of this name sent the song
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

from minio.deleteobjects import DeleteObject

from msas.job import SONGHASH
from msas.problem import StoreUnavailable
from msas.stems import SONGHASH_LENGTH, StemStore, have_leftovers


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

    def songs(self) -> Iterator[tuple[str, datetime, bool]]:
        """Yield the songhash of each song that any object belongs to, when the newest of its objects (of one
        bucket) was stored, and whether a report is among them. A songhash may come twice."""
        for bucket in (self.bucket_in, self.bucket_out):
            for songhash, group in groupby(self._list(bucket), lambda pair: pair[0][:SONGHASH_LENGTH]):
                objects = list(group)
                times = [found.last_modified for _, found in objects if found.last_modified]
                if SONGHASH.fullmatch(songhash) and times:
                    yield songhash, max(times), any(key.endswith("-report.json") for key, _ in objects)

    def songs_with_leftovers(self, before: datetime) -> Iterator[str]:
        """Yield the songhash of each song of which `remove_unnamed` may remove objects."""
        for songhash, group in groupby(self._list(self.bucket_out), lambda pair: pair[0][:SONGHASH_LENGTH]):
            if SONGHASH.fullmatch(songhash) and have_leftovers(group, before):
                yield songhash

    def remove_song(self, songhash: str) -> bool:
        """Remove the song and everything that was made of it: first the report, so that no stem is served alone.

        Returns whether there was anything.
        """
        self._ensure_buckets()
        with self._answering():
            stems = [key for key, _ in self._list(self.bucket_out, f"{songhash}-")]
            songs = [key for key, _ in self._list(self.bucket_in, songhash)]
            self.minio.remove_object(self.bucket_out, f"{songhash}-report.json")
            for error in self.minio.remove_objects(self.bucket_out, map(DeleteObject, stems)):
                raise StoreUnavailable(f"The store kept {error.name}: {error.message}; try again.")
            self.minio.remove_object(self.bucket_in, songhash)
            self.minio.remove_object(self.bucket_in, f"{songhash}.json")
        return bool(stems or songs)
