"""Stores, publishes, reads and removes the stems, waveforms and reports of separations.

Two attempts at a song never use the same object names. The attempt that stores `<songhash>-first`, and finds no objects
of another one, uses plain names; all others put their tag into the names. Published objects are never overwritten: an
object is stored only where there is none, and a report only where it is still the one that the attempt saw at its
beginning.
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
_CHUNK = 64 * 1024  # bytes; each download in progress holds one chunk in memory
_TAGGED = re.compile(r"^[0-9a-f]{56}-([0-9a-f]{16})-")


@dataclass(frozen=True)
class Attempt:
    """One attempt to separate a song. `nonce` is unique; `is_plain` says whether its objects have plain names; `seen`
    is the ETag of the report that existed when it began, empty where there was none."""

    songhash: str
    nonce: str
    is_plain: bool
    seen: str

    @property
    def tag(self) -> str:
        """The part of its objects' names that tells attempts apart; empty for plain names."""
        return "" if self.is_plain else self.nonce


class StemStore(ConditionalBuckets):
    """Stems, peaks and reports. Methods raise StoreUnavailable where the server does not answer."""

    def begin_attempt(self, songhash: str) -> Attempt:
        """Choose the names of the objects that a separation of the song will store."""
        nonce, first = secrets.token_hex(8), f"{songhash}-first"
        is_first = self.supports_conditions() and self._put_if(self.bucket_out, first, json.dumps(nonce).encode(), "")
        there = {key: found.etag or "" for key, found in self.list_objects(self.bucket_out, f"{songhash}-")}
        seen = there.get(_report_key(songhash), "")
        is_plain = is_first and not any(_belongs_to_attempt(key) for key in there)
        if is_first and not is_plain:
            self._remove(self.bucket_out, first)
        return Attempt(songhash, nonce, is_plain, seen)

    def put_stem(self, songhash: str, stem: str, extension: str, file: Readable, tag: str = "") -> None:
        """Store the content of `file` as a stem of the song, part by part while the file is being encoded.

        An exception of `file` is raised again; nothing of the stem is stored then.
        """
        self._ensure_buckets()
        try:
            self._upload(self.bucket_out, _key(songhash, tag, f"{stem}.{extension}"), file, CONTENT_TYPES[extension])
        except ObjectTaken:
            raise StoreUnavailable("Another attempt has stored this stem; try again.") from None

    def put_peaks(self, peaks: dict[str, Any], tag: str = "") -> None:
        """Store the waveforms of the stems for display."""
        content = json.dumps(peaks, allow_nan=False, separators=(",", ":")).encode()
        self._put_if(self.bucket_out, _key(peaks["hash"], tag, "peaks.json"), content, "")

    def peaks(self, songhash: str, tag: str = "") -> bytes | None:
        """Return the waveforms as JSON; None where there are none (songs that version 0.1.0 separated)."""
        return self._get(self.bucket_out, _key(songhash, tag, "peaks.json"))

    def put_report(self, report: Report, seen: str = "") -> bool:
        """Publish a separation, all of whose stems are stored: store its report.

        Only if the report in the store still has the ETag `seen` (empty: if there is none). Returns whether the report
        is stored now.
        """
        content = json.dumps(report.to_json(), indent=1, allow_nan=False).encode()
        return self._put_if(self.bucket_out, _report_key(report.songhash), content, seen)

    def end_attempt(self, attempt: Attempt) -> None:
        """Remove the mark of the attempt with plain names, after its report was stored."""
        if attempt.is_plain:
            self._remove(self.bucket_out, f"{attempt.songhash}-first")

    def remove_attempt(self, attempt: Attempt) -> None:
        """Remove the objects of the attempt, unless its report is published."""
        songhash, first = attempt.songhash, f"{attempt.songhash}-first"
        report = self.report(songhash)
        if report and report.tag == attempt.tag:
            return
        for key in [key for key, _ in self.list_objects(self.bucket_out, f"{songhash}-")]:
            if _belongs_to_attempt(key) and key != _report_key(songhash) and _tag_of_key(key) == attempt.tag:
                self._remove(self.bucket_out, key)
        if attempt.is_plain and self._get(self.bucket_out, first) == json.dumps(attempt.nonce).encode():
            self._remove(self.bucket_out, first)

    def remove_unnamed(self, songhash: str, before: datetime) -> int:
        """Remove objects that are older than that and that the song's report does not name; return their number.

        No attempt that began before that time may still run, because no report names its objects yet.
        """
        there = [(key, found.last_modified) for key, found in self.list_objects(self.bucket_out, f"{songhash}-")]
        report = self.report(songhash)
        named = _published_keys(report) if report else set()
        unnamed = [key for key, at in there if _belongs_to_attempt(key) and key not in named and at and at < before]
        for key in unnamed:
            self._remove(self.bucket_out, key)
        return len(unnamed)

    def report(self, songhash: str) -> Report | None:
        """Return the song's report; None where there is none."""
        return self.report_and_etag(songhash)[0]

    def report_and_etag(self, songhash: str) -> tuple[Report | None, str]:
        """Return the song's report and its ETag; None and '' where there is none."""
        content, etag = self._get_with_etag(self.bucket_out, _report_key(songhash))
        return Report.from_json(json.loads(content)) if content else None, etag

    def published(self, songhash: str) -> tuple[Report, datetime] | None:
        """Return the report and the time when it was stored; None where there is none, or where a stem that it names is
        missing or has another size."""
        report = self.report(songhash)
        if report is None:
            return None
        there = dict(self.list_objects(self.bucket_out, f"{songhash}-"))
        for stem in report.stems:
            found = there.get(_key(songhash, report.tag, stem.file_name))
            if found is None or found.size != stem.bytes:
                return None
        own = there.get(_report_key(songhash))
        return (report, own.last_modified) if own and own.last_modified else None

    def open_stem(
        self, songhash: str, stem: str, extension: str, start: int = 0, length: int = 0, *, tag: str = ""
    ) -> Iterator[bytes]:
        """Return the content of a stem in chunks: `length` bytes from byte `start` on (0: until its end).

        `tag` is the report's. Raises ObjectMissing.
        """
        key = _key(songhash, tag, f"{stem}.{extension}")
        with self._translate_errors():
            response = self.minio.get_object(self.bucket_out, key, start, length)
        return self._chunks(key, response, start)

    def _chunks(self, key: str, response: BaseHTTPResponse, at: int) -> Iterator[bytes]:
        """Yield an object's bytes from `at` on. Reconnect after the connection broke, since stores close connections of
        slow readers. Raises StoreUnavailable where the object was replaced meanwhile."""
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
            with self._translate_errors():
                response = self.minio.get_object(self.bucket_out, key, at, end - at)
            if response.headers["ETag"] != etag:
                raise StoreUnavailable("The stem was replaced while it was being sent; download it again.")

    def has_stem(self, songhash: str, stem: str, extension: str, tag: str = "") -> bool:
        """Return whether the stem exists."""
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
        raise StoreUnavailable("The song's report changed too often; try again in a few seconds.")

    def remove_stem(self, songhash: str, stem: str, extension: str, tag: str = "") -> None:
        """Remove the object of one stem, which need not be there; the report still names it."""
        self._remove(self.bucket_out, _key(songhash, tag, f"{stem}.{extension}"))


def _key(songhash: str, tag: str, name: str) -> str:
    return f"{songhash}-{tag}-{name}" if tag else f"{songhash}-{name}"


def _report_key(songhash: str) -> str:
    return f"{songhash}-report.json"


def _published_keys(report: Report) -> set[str]:
    """Return the keys of a published separation."""
    names = {f"{MIXTURE}.{report.options.format}", "peaks.json", *(stem.file_name for stem in report.stems)}
    return {_key(report.songhash, report.tag, name) for name in names} | {_report_key(report.songhash)}


def have_leftovers(objects: Iterable[tuple[str, Object]], before: datetime) -> bool:
    """Return whether some of a song's objects, given with their keys, were stored before that time by an attempt that
    is not published: there is no report, or there are objects of two attempts."""
    stored = [(key, found.last_modified) for key, found in objects if _belongs_to_attempt(key)]
    reports = [key for key, _ in stored if key.endswith("-report.json")]
    old = [at for key, at in stored if key not in reports and at and at < before]
    return bool(old) and (not reports or len({_tag_of_key(key) for key, _ in stored if key not in reports}) > 1)


def _tag_of_key(key: str) -> str:
    found = _TAGGED.match(key)
    return found[1] if found else ""


def _belongs_to_attempt(key: str) -> bool:
    """Return whether an attempt's report, stem or waveforms have this key: not an owner, not `<songhash>-first`."""
    rest = key[SONGHASH_LENGTH:]
    return rest != "-first" and not rest.startswith("-owner-")
