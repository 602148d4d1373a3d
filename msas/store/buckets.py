"""Our two buckets on an S3 server: made when first needed, their errors in our words."""

from __future__ import annotations

import io
import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Self

from minio import Minio
from minio.datatypes import Object
from minio.error import MinioException, S3Error
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from msas.errors import StoreUnavailable
from msas.logs import log
from msas.settings import Settings
from msas.store.lifecycle import expire_objects, has_rule, mark_bucket
from msas.store.retries import PatientMinio
from msas.store.s3_errors import ObjectMissing, store_problem

_log = logging.getLogger("msas.store")
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # more connections than are kept are no problem
_STALL_SECONDS = 30.0
_IDLE_CONNECTIONS = 32  # kept for the next calls; more are opened where more calls are made at once


class _PlainConnection(HTTPConnection):
    """urllib3 sends under the patience that it has for connecting; a busy store may take its time to read a song."""

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(_STALL_SECONDS)


class _TlsConnection(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(_STALL_SECONDS)


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class Buckets:
    """One bucket of songs, one of stems. Every method raises StoreUnavailable where the server does not answer."""

    def __init__(self, minio: Minio, bucket_in: str = "queue", bucket_out: str = "output") -> None:
        self.minio, self.bucket_in, self.bucket_out = minio, bucket_in, bucket_out
        self._buckets_made = False

    @classmethod
    def from_settings(cls, settings: Settings, *, retries: int = 1) -> Self:
        """Connect lazily; each call waits at most 1 s for a connection and 30 s for data, `retries` times more."""
        http = PoolManager(
            maxsize=_IDLE_CONNECTIONS,
            timeout=Timeout(connect=1, read=_STALL_SECONDS),
            retries=Retry(total=retries, backoff_factor=0.2, status_forcelist=[500, 502, 503, 504]),
        )
        http.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}
        minio = Minio(
            settings.minio_host,
            settings.minio_access_key,
            settings.minio_secret_key,
            secure=settings.minio_secure,
            http_client=http,
        )
        return cls(minio, settings.bucket_in, settings.bucket_out)

    def patient(self, pause: Callable[[], None]) -> Self:
        """Return the same buckets by way of calls that wait, however long, while the server does not answer.

        They call `pause` before each repetition; what that raises ends them.
        """
        other = copy(self)
        other.minio = PatientMinio(self.minio, pause)
        return other

    def ready(self) -> None:
        """Return where the store answers and knows us; changes nothing there."""
        self.missing()

    def make_buckets(self) -> None:
        """Make the buckets that are missing."""
        for bucket in self.missing():
            self._make_bucket(bucket)
        self._buckets_made = True

    def check(self) -> None:
        """Return where the store takes, and removes, an object."""
        self._put(self.bucket_out, "probe", b"probe")
        with self._answering():
            self.minio.remove_object(self.bucket_out, "probe")

    def missing(self) -> list[str]:
        """Return which of our buckets are not there; makes none."""
        with self._answering():
            return [bucket for bucket in (self.bucket_in, self.bucket_out) if not self.minio.bucket_exists(bucket)]

    def probe(self) -> datetime:
        """Store, read and remove an object in each bucket; return the time by the store's clock, to the second."""
        key = f"probe-{secrets.token_hex(8)}"
        for bucket in (self.bucket_in, self.bucket_out):
            self._put(bucket, key, b"probe")
            if self._get(bucket, key) != b"probe":
                raise StoreUnavailable("The store does not give back what it took; look at its log.")
            with self._answering():
                headers = self.minio.stat_object(bucket, key).metadata or {}
                self.minio.remove_object(bucket, key)
        return parsedate_to_datetime(headers["Date"])

    def expires(self) -> bool:
        """Say whether both buckets have our lifecycle rule."""
        with self._answering():
            return all(has_rule(self.minio, bucket) for bucket in (self.bucket_in, self.bucket_out))

    def expire_after(self, days: int) -> None:
        """Ask the store itself to remove objects after `days`, and what is left of broken uploads after one.

        It is a second net, under our own retention: a bucket that somebody else made, whatever lies there, and a store
        that knows no such rules go without.
        """
        self._ensure_buckets()
        for bucket in (self.bucket_in, self.bucket_out):
            why = "somebody else made the bucket"
            try:
                with self._answering():
                    if expire_objects(self.minio, bucket, days):
                        continue
            except StoreUnavailable as problem:
                why = problem.detail
            log.event(_log, "no lifecycle rule", bucket=bucket, why=why)

    def _put(self, bucket: str, key: str, content: bytes) -> None:
        self._ensure_buckets()
        with self._answering():
            self.minio.put_object(bucket, key, io.BytesIO(content), len(content), content_type="application/json")

    def _get(self, bucket: str, key: str) -> bytes | None:
        return self._get_with_etag(bucket, key)[0]

    def _get_with_etag(self, bucket: str, key: str) -> tuple[bytes | None, str]:
        """Return the object's content and its ETag; None, and an empty one, where there is none."""
        self._ensure_buckets()
        try:
            with self._answering():
                response = self.minio.get_object(bucket, key)
                try:
                    return response.read(), response.headers["ETag"].strip('"')
                finally:
                    response.close()
                    response.release_conn()
        except ObjectMissing:
            return None, ""

    def _list(self, bucket: str, prefix: str = "", after: str | None = None) -> Iterator[tuple[str, Object]]:
        self._ensure_buckets()
        with self._answering():
            for found in self.minio.list_objects(bucket, prefix=prefix, start_after=after):
                if found.object_name:
                    yield found.object_name, found

    def _ensure_buckets(self) -> None:
        if not self._buckets_made:
            self.make_buckets()

    def _make_bucket(self, bucket: str) -> None:
        with self._answering():
            try:
                self.minio.make_bucket(bucket)
            except S3Error as error:
                if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                    raise  # else another process was faster
                return
        try:
            with self._answering():
                mark_bucket(self.minio, bucket)
        except StoreUnavailable as problem:
            log.event(_log, "no lifecycle rule", bucket=bucket, why=problem.detail)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except S3Error as error:
            if error.code == "NoSuchBucket":
                self._buckets_made = False  # somebody removed it: the next call makes it anew
            raise store_problem(error) from error
        except (MinioException, HTTPError) as error:
            raise StoreUnavailable(
                f"The store does not answer ({type(error).__name__}); try again in a few seconds."
            ) from error
