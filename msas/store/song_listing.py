"""Lists the objects of both buckets, grouped by song, in the order of the songhashes."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

from minio.datatypes import Object

from msas.job import SONGHASH
from msas.store import Store
from msas.store.stems import SONGHASH_LENGTH, have_leftovers

BEGINNING = "-"  # a key before the keys of all songs
_LONG_AGO = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class StoredSong:
    """The objects whose keys begin with the same 56 characters; `is_song` is False where these are no songhash."""

    songhash: str
    objects: tuple[tuple[str, Object], ...]  # by key, of both buckets

    @property
    def is_song(self) -> bool:
        return bool(SONGHASH.fullmatch(self.songhash))

    @property
    def bytes(self) -> int:
        return sum(found.size or 0 for _, found in self.objects)

    @property
    def newest(self) -> datetime:
        """The time of the newest object by the store's clock."""
        return max(found.last_modified or _LONG_AGO for _, found in self.objects)

    @property
    def message_stored(self) -> datetime | None:
        """The time when the job's message was stored; None where there is none."""
        return next((found.last_modified for key, found in self.objects if key == f"{self.songhash}.json"), None)

    @property
    def has_report(self) -> bool:
        return any(key == f"{self.songhash}-report.json" for key, _ in self.objects)

    def has_leftovers(self, before: datetime) -> bool:
        """Return whether unpublished attempts may have left objects that were stored before that time."""
        return have_leftovers((pair for pair in self.objects if pair[0].startswith(f"{self.songhash}-")), before)

    @property
    def cursor(self) -> str:
        """A key between the keys of this song and the keys of the next."""
        return f"{self.songhash}~"


def list_songs(store: Store, after: str = BEGINNING, *, songs_only: bool = False) -> Iterator[StoredSong]:
    """Yield the songs whose keys come after `after`; with `songs_only`, without their objects in the bucket of stems.

    Raises StoreUnavailable.
    """
    buckets = (store.bucket_in,) if songs_only else (store.bucket_in, store.bucket_out)
    merged = heapq.merge(*(store.list_objects(bucket, after=after) for bucket in buckets), key=lambda pair: pair[0])
    for songhash, group in groupby(merged, lambda pair: pair[0][:SONGHASH_LENGTH]):
        yield StoredSong(songhash, tuple(group))
