"""The objects of separations in the bucket of stems: their names, how they are published, read and removed.

Two attempts at a song never store an object of the same name. The first one to store `<songhash>-first` gives its
objects the plain names; any other one puts its tag into theirs. What a report names is never overwritten: each object
is stored only where there is none, and the report only where it is still the one that the attempt saw at its beginning.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from minio.datatypes import Object
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from msas.errors import StoreUnavailable
from msas.report import MIXTURE, Report
from msas.store.conditional import ConditionalBuckets, Readable
from msas.store.s3_errors import ObjectTaken

CONTENT_TYPES = {"mp3": "audio/mpeg", "wav": "audio/wav", "flac": "audio/flac"}
SONGHASH_LENGTH = 56
_TRIES = 100
_CHUNK = 64 * 1024  # each slow download holds one
_TAGGED = re.compile(r"^[0-9a-f]{56}-([0-9a-f]{16})-")


@dataclass(frozen=True)
class Attempt:
    """One attempt at a song, as the store knows it. `nonce` is like no other's; `is_plain` says whether its objects
    have the plain names; `seen` is the ETag of the report that was there when it began, empty where none was."""

    songhash: str
    nonce: str
    is_plain: bool
    seen: str

    @property
    def tag(self) -> str:
        """What stands in the names of its objects; empty where they are plain."""
        return "" if self.is_plain else self.nonce


class StemStore(ConditionalBuckets):
    """Stems, peaks and reports. Every method raises StoreUnavailable where the server does not answer."""

    def begin_attempt(self, songhash: str) -> Attempt:
        """Choose the names of the objects that a separation of the song will store."""
        nonce, first = secrets.token_hex(8), f"{songhash}-first"
        is_first = self.honours_conditions() and self._put_if(self.bucket_out, first, json.dumps(nonce).encode(), "")
        there = {key: found.etag or "" for key, found in self._list(self.bucket_out, f"{songhash}-")}
        seen = there.get(_report(songhash), "")
        is_plain = is_first and not any(_is_of_separation(key) for key in there)
        if is_first and not is_plain:
            self._remove(first)
        return Attempt(songhash, nonce, is_plain, seen)

    def put_stem(self, songhash: str, stem: str, extension: str, file: Readable, tag: str = "") -> None:
        """Store what `file` gives until its end as a stem of the song: part by part, as it is being made.

        Where `file` raises, so does this, and nothing of the stem is left.
        """
        self._ensure_buckets()
        try:
            self._upload(self.bucket_out, _key(songhash, tag, f"{stem}.{extension}"), file, CONTENT_TYPES[extension])
        except ObjectTaken:
            raise StoreUnavailable("Another attempt at the song has stored this stem; try again.") from None

    def put_peaks(self, peaks: dict[str, Any], tag: str = "") -> None:
        """Store how the stems look, beside them."""
        content = json.dumps(peaks, allow_nan=False, separators=(",", ":")).encode()
        self._put_if(self.bucket_out, _key(peaks["hash"], tag, "peaks.json"), content, "")

    def peaks(self, songhash: str, tag: str = "") -> bytes | None:
        """Return it as JSON; None where there is none, as of songs that an early version separated."""
        return self._get(self.bucket_out, _key(songhash, tag, "peaks.json"))

    def put_report(self, report: Report, seen: str = "") -> bool:
        """Publish a separation: store the report on it beside the stems that it names, all of which are stored.

        Only where the report that lies there still has the ETag `seen` (empty: where there is none). Returns whether
        it is stored now.
        """
        content = json.dumps(report.to_json(), indent=1, allow_nan=False).encode()
        return self._put_if(self.bucket_out, _report(report.songhash), content, seen)

    def end_attempt(self, attempt: Attempt) -> None:
        """Give back what chose the attempt's names, after its report was stored: that makes others choose a tag."""
        if attempt.is_plain:
            self._remove(f"{attempt.songhash}-first")

    def withdraw(self, attempt: Attempt) -> None:
        """Remove what the attempt stored, unless its report is published."""
        songhash, first = attempt.songhash, f"{attempt.songhash}-first"
        report = self.report(songhash)
        if report and report.tag == attempt.tag:
            return
        for key in [key for key, _ in self._list(self.bucket_out, f"{songhash}-")]:
            if _is_of_separation(key) and key != _report(songhash) and _tag(key) == attempt.tag:
                self._remove(key)
        if attempt.is_plain and self._get(self.bucket_out, first) == json.dumps(attempt.nonce).encode():
            self._remove(first)

    def remove_unnamed(self, songhash: str, before: datetime) -> int:
        """Remove what attempts stored before that time and the song's report does not name; return how many objects.

        No attempt may be under way that began before: what it stored is named by no report yet.
        """
        there = [(key, found.last_modified) for key, found in self._list(self.bucket_out, f"{songhash}-")]
        report = self.report(songhash)
        named = _published_keys(report) if report else set()
        doomed = [key for key, at in there if _is_of_separation(key) and key not in named and at and at < before]
        for key in doomed:
            self._remove(key)
        return len(doomed)

    def report(self, songhash: str) -> Report | None:
        """Return the report on a separation; None where there is none."""
        return self.report_and_etag(songhash)[0]

    def report_and_etag(self, songhash: str) -> tuple[Report | None, str]:
        """Return the report and its ETag; None, and an empty one, where there is none."""
        content, etag = self._get_with_etag(self.bucket_out, _report(songhash))
        return Report.from_json(json.loads(content)) if content else None, etag

    def published(self, songhash: str) -> tuple[Report, datetime] | None:
        """Return the report on a finished separation and when it was stored; None where there is none, or where
        a stem that it names is not there in full."""
        report = self.report(songhash)
        if report is None:
            return None
        there = dict(self._list(self.bucket_out, f"{songhash}-"))
        for stem in report.stems:
            found = there.get(_key(songhash, report.tag, stem.file_name))
            if found is None or found.size != stem.bytes:
                return None
        own = there.get(_report(songhash))
        return (report, own.last_modified) if own and own.last_modified else None

    def open_stem(
        self, songhash: str, stem: str, extension: str, start: int = 0, length: int = 0, *, tag: str = ""
    ) -> Iterator[bytes]:
        """Open a stem for download, from byte `start` on, `length` bytes of it (0: to its end), in chunks.

        `tag` is what the report says. Raises ObjectMissing where the store does not have it.
        """
        key = _key(songhash, tag, f"{stem}.{extension}")
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

    def has_stem(self, songhash: str, stem: str, extension: str, tag: str = "") -> bool:
        """Say whether the stem is there."""
        return bool(self._etag(self.bucket_out, _key(songhash, tag, f"{stem}.{extension}")))

    def delete_stem(self, report: Report, stem: str) -> None:
        """Remove a stem of the separation that `report` is about: from the report in the store, then its object.

        Where another separation has been published since, or the song was removed, nothing changes.
        """
        songhash = report.songhash
        for _ in range(_TRIES):
            there, etag = self.report_and_etag(songhash)
            if there is None or not there.is_of_same_separation(report):
                return
            if all(each.name != stem for each in there.stems) or self.put_report(there.without(stem), etag):
                self.remove_stem(songhash, stem, report.options.format, report.tag)
                return
        raise StoreUnavailable("The song's report changes all the time; try again in a few seconds.")

    def remove_stem(self, songhash: str, stem: str, extension: str, tag: str = "") -> None:
        """Remove the object of one stem, which need not be there; the report still names it."""
        self._remove(_key(songhash, tag, f"{stem}.{extension}"))

    def _remove(self, key: str) -> None:
        with self._answering():
            self.minio.remove_object(self.bucket_out, key)


def _key(songhash: str, tag: str, name: str) -> str:
    return f"{songhash}-{tag}-{name}" if tag else f"{songhash}-{name}"


def _report(songhash: str) -> str:
    return f"{songhash}-report.json"


def _published_keys(report: Report) -> set[str]:
    """Return the keys of a published separation."""
    names = {f"{MIXTURE}.{report.options.format}", "peaks.json", *(stem.file_name for stem in report.stems)}
    return {_key(report.songhash, report.tag, name) for name in names} | {_report(report.songhash)}


def have_leftovers(objects: Iterable[tuple[str, Object]], before: datetime) -> bool:
    """Say whether some of a song's objects, given with their keys, may be left of an attempt that stored them before
    that time, and is not the one that is published: there is no report, or objects of two attempts."""
    stored = [(key, found.last_modified) for key, found in objects if _is_of_separation(key)]
    reports = [key for key, _ in stored if key.endswith("-report.json")]
    old = [at for key, at in stored if key not in reports and at and at < before]
    return bool(old) and (not reports or len({_tag(key) for key, _ in stored if key not in reports}) > 1)


def _tag(key: str) -> str:
    found = _TAGGED.match(key)
    return found[1] if found else ""


def _is_of_separation(key: str) -> bool:
    """Say whether an attempt stored the object: it is no owner's mark, and not what chooses the names."""
    rest = key[SONGHASH_LENGTH:]
    return rest != "-first" and not rest.startswith("-owner-")
