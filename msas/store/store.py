"""The objects of songs, and the list of all keys, which only this package names.

<bucket_in>/<songhash>                         the song
<bucket_in>/<songhash>.json                    its job's message, until the job succeeded
<bucket_out>/<songhash>-<stem>.<ext>           a stem; `mixture` is the song itself, encoded like its stems
<bucket_out>/<songhash>-peaks.json             waveforms, and byte positions in the stems (worker/pipeline/peaks.py)
<bucket_out>/<songhash>-<tag>-<stem>.<ext>     objects of an attempt that may not use the plain names; its report has
<bucket_out>/<songhash>-<tag>-peaks.json       the `tag`, 16 hexadecimal digits
<bucket_out>/<songhash>-report.json            the report: only the stems that it names are published
<bucket_out>/<songhash>-first                  the nonce of the attempt that stores objects without a tag, until its
                                               report is stored
<bucket_out>/<songhash>-owner-<name>           empty; the API key of this name sent the song
<bucket_out>/probe                             written and removed, to see whether the store takes objects
<bucket>/probe-<hex>                           the same in both buckets for `make doctor`, and for conditional writes
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from minio.deleteobjects import DeleteObject

from msas.errors import StoreUnavailable
from msas.store.stems import StemStore


class Store(StemStore):
    """Songs and stems in an S3 store. Methods raise StoreUnavailable where it does not answer.

    Names of objects: here and in stems.py. Conditional writes: conditional.py. Client, errors, buckets: buckets.py.
    `retrying`: retries.py.
    """

    def put_song(self, songhash: str, song: BinaryIO, size: int) -> None:
        """Store `size` bytes of `song`, from its beginning, for a worker to fetch."""
        self._ensure_buckets()
        song.seek(0)
        with self._translate_errors():
            self.minio.put_object(self.bucket_in, songhash, song, size)

    def fetch_song(self, songhash: str, path: Path) -> None:
        """Write the song to the file `path`. Raises ObjectMissing where the store does not have it."""
        self._ensure_buckets()
        with self._translate_errors():
            self.minio.fget_object(self.bucket_in, songhash, str(path))

    def put_message(self, songhash: str, message: bytes) -> None:
        """Store a job's message beside its song, for recovery after Redis lost the job."""
        self._put(self.bucket_in, f"{songhash}.json", message)

    def message(self, songhash: str) -> bytes | None:
        """Return the message beside the song; None where there is none."""
        return self._get(self.bucket_in, f"{songhash}.json")

    def remove_message(self, songhash: str) -> None:
        """Remove the message of a job that succeeded; it need not exist."""
        self._remove(self.bucket_in, f"{songhash}.json")

    def put_owner(self, songhash: str, name: str) -> None:
        """Store that the API key of this name sent the song, for recovery after Redis lost the job."""
        self._put(self.bucket_out, f"{songhash}-owner-{name}", b"")

    def remove_owner(self, songhash: str, name: str) -> None:
        """Remove this owner of the song."""
        self._remove(self.bucket_out, f"{songhash}-owner-{name}")

    def owners(self, songhash: str) -> list[str]:
        """Return the names of the API keys that sent the song."""
        prefix = f"{songhash}-owner-"
        return [key.removeprefix(prefix) for key, _ in self.list_objects(self.bucket_out, prefix)]

    def has_objects(self, songhash: str) -> bool:
        """Return whether the store has any object of the song."""
        return any(True for bucket in (self.bucket_out, self.bucket_in) for _ in self.list_objects(bucket, songhash))

    def separated_bytes(self, songhash: str) -> int:
        """Return the total size of the song's objects in the bucket of stems."""
        return sum(found.size or 0 for _, found in self.list_objects(self.bucket_out, f"{songhash}-"))

    def remove_song(self, songhash: str) -> tuple[int, int]:
        """Remove all objects of the song, the report first, so that no stem is served after another one is gone.

        Returns their number and their bytes.
        """
        self._ensure_buckets()
        with self._translate_errors():
            stems = dict(self.list_objects(self.bucket_out, f"{songhash}-"))
            songs = dict(self.list_objects(self.bucket_in, songhash))
            self.minio.remove_object(self.bucket_out, f"{songhash}-report.json")
            for error in self.minio.remove_objects(self.bucket_out, map(DeleteObject, stems)):
                raise StoreUnavailable(f"The store could not delete {error.name}: {error.message}; try again.")
            self.minio.remove_object(self.bucket_in, songhash)
            self.minio.remove_object(self.bucket_in, f"{songhash}.json")
        found = [*stems.values(), *songs.values()]
        return len(found), sum(each.size or 0 for each in found)
