"""Lists the store song by song: both buckets in the order of their keys, merged by songhash."""

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

BEGINNING = "-"  # a key before those of all songs
_LONG_AGO = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class StoredSong:
    """The objects whose keys begin with the same songhash. Foreign objects make one, too: `is_song` is False then."""

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
        """When the newest object was stored, by the store's clock."""
        return max(found.last_modified or _LONG_AGO for _, found in self.objects)

    @property
    def message_stored(self) -> datetime | None:
        """When the job's message was stored; None where there is none."""
        return next((found.last_modified for key, found in self.objects if key == f"{self.songhash}.json"), None)

    @property
    def has_report(self) -> bool:
        return any(key == f"{self.songhash}-report.json" for key, _ in self.objects)

    def has_leftovers(self, before: datetime) -> bool:
        """Say whether some objects may be left of attempts that stored them before that time, and are not published."""
        return have_leftovers((pair for pair in self.objects if pair[0].startswith(f"{self.songhash}-")), before)

    @property
    def cursor(self) -> str:
        """A key after those of this song, and before those of the next."""
        return f"{self.songhash}~"


def list_songs(store: Store, after: str = BEGINNING, *, songs_only: bool = False) -> Iterator[StoredSong]:
    """Yield what the store holds after that key, in the order of the songhashes.

    With `songs_only`, the bucket of stems is left out. Raises StoreUnavailable where the store is away.
    """
    buckets = (store.bucket_in,) if songs_only else (store.bucket_in, store.bucket_out)
    merged = heapq.merge(*(store.list_after(bucket, after) for bucket in buckets), key=lambda pair: pair[0])
    for songhash, group in groupby(merged, lambda pair: pair[0][:SONGHASH_LENGTH]):
        yield StoredSong(songhash, tuple(group))
