"""The object store: songs in one bucket, stems in the other. The only place that names an object's key.

<bucket_in>/<songhash>                   the song
<bucket_in>/<songhash>.json              its job's message, until the job succeeded
<bucket_out>/<songhash>-<stem>.<ext>     a stem; as `mixture`, the song itself, encoded as its stems are
<bucket_out>/<songhash>-peaks.json       how they look, and where in their files they begin (worker/peaks.py)
<bucket_out>/<songhash>-owner-<name>     empty: the key of this name sent the song
<bucket_out>/<songhash>-report.json      the report: what it names is published, and nothing else
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from minio.deleteobjects import DeleteObject
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from msas.buckets import Buckets, ObjectMissing
from msas.job import SONGHASH
from msas.problem import StoreUnavailable
from msas.status import tracks_of

CONTENT_TYPES = {"mp3": "audio/mpeg", "wav": "audio/wav", "flac": "audio/flac"}
_PART_BYTES = 5 * 1024 * 1024  # the least that S3 takes in one part of an upload
_CHUNK = 64 * 1024  # each slow download holds one
_SONGHASH_LENGTH = 56


class Readable(Protocol):
    """A file as the store reads it: `size` bytes at a time, fewer at its end."""

    def read(self, size: int) -> bytes: ...


class Store(Buckets):
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

    def put_stem(self, songhash: str, stem: str, extension: str, file: Readable) -> None:
        """Store what `file` gives until its end as a stem of the song: part by part, as it is being made.

        Where `file` raises, so does this, and nothing of the stem is left.
        """
        self._ensure_buckets()
        with self._answering():
            self.minio.put_object(
                self.bucket_out,
                f"{songhash}-{stem}.{extension}",
                cast(BinaryIO, file),
                length=-1,
                part_size=_PART_BYTES,
                num_parallel_uploads=1,
                content_type=CONTENT_TYPES[extension],
            )

    def put_peaks(self, peaks: dict[str, Any]) -> None:
        """Store how the stems look, beside them."""
        content = json.dumps(peaks, allow_nan=False, separators=(",", ":")).encode()
        self._put(self.bucket_out, f"{peaks['hash']}-peaks.json", content)

    def peaks(self, songhash: str) -> bytes | None:
        """Return it as JSON; None where there is none, as of songs that an earlier version separated."""
        return self._get(self.bucket_out, f"{songhash}-peaks.json")

    def put_report(self, report: dict[str, Any]) -> None:
        """Publish a separation: store the report on it beside the stems that it names, all of which are stored."""
        content = json.dumps(report, indent=1, allow_nan=False).encode()
        self._put(self.bucket_out, f"{report['hash']}-report.json", content)

    def report(self, songhash: str) -> dict[str, Any] | None:
        """Return the report on a separation; None where there is none."""
        report: dict[str, Any] | None = json.loads(self._get(self.bucket_out, f"{songhash}-report.json") or "null")
        return report

    def published(self, songhash: str) -> tuple[dict[str, Any], datetime] | None:
        """Return the report on a finished separation and when it was stored; None where there is none, or where
        a stem that it names is not there in full. What was removed since stands under `removed`."""
        report = self.report(songhash)
        if report is None:
            return None
        there = dict(self._list(self.bucket_out, f"{songhash}-"))
        for track in tracks_of(report):
            stem = there.get(f"{songhash}-{track.name}.{track.extension}")
            if stem is None or stem.size != track.bytes:
                return None
        own = there.get(f"{songhash}-report.json")
        return (report, own.last_modified) if own and own.last_modified else None

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
            for songhash, group in groupby(self._list(bucket), lambda pair: pair[0][:_SONGHASH_LENGTH]):
                objects = list(group)
                times = [found.last_modified for _, found in objects if found.last_modified]
                if SONGHASH.fullmatch(songhash) and times:
                    yield songhash, max(times), any(key.endswith("-report.json") for key, _ in objects)

    def open_stem(self, songhash: str, stem: str, extension: str, start: int = 0, length: int = 0) -> Iterator[bytes]:
        """Open a stem for download, from byte `start` on, `length` bytes of it (0: to its end), in chunks.

        Raises ObjectMissing where the store does not have it.
        """
        key = f"{songhash}-{stem}.{extension}"
        with self._answering():
            response = self.minio.get_object(self.bucket_out, key, start, length)
        return self._chunks(key, response, start)

    def _chunks(self, key: str, response: BaseHTTPResponse, at: int) -> Iterator[bytes]:
        """Yield an object's bytes from `at` on. Where the connection breaks, continue on another one: stores end the
        connections of slow readers. Raises StoreUnavailable where the object was replaced meanwhile."""
        etag, end = response.headers["ETag"], at + int(response.headers["Content-Length"])
        while True:
            began = at
            try:
                for chunk in response.stream(_CHUNK):
                    at += len(chunk)
                    yield chunk
                return
            except HTTPError:
                if at == began:
                    raise
            finally:
                response.close()
                response.release_conn()
            with self._answering():
                response = self.minio.get_object(self.bucket_out, key, at, end - at)
            if response.headers["ETag"] != etag:
                raise StoreUnavailable("The stem was replaced while it was being sent; download it again.")

    def has_stem(self, songhash: str, stem: str, extension: str) -> bool:
        """Say whether the stem is there."""
        try:
            with self._answering():
                self.minio.stat_object(self.bucket_out, f"{songhash}-{stem}.{extension}")
        except ObjectMissing:
            return False
        return True

    def remove_stem(self, songhash: str, stem: str, extension: str) -> None:
        """Remove one stem; it need not be there."""
        with self._answering():
            self.minio.remove_object(self.bucket_out, f"{songhash}-{stem}.{extension}")

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
