"""The S3 client and its two buckets: creates missing buckets, translates errors, sets lifecycle rules."""

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
from msas.store.retries import RetryingMinio
from msas.store.s3_errors import ObjectMissing, store_problem

_log = logging.getLogger("msas.store")
logging.getLogger("urllib3.connectionpool").setLevel(
    logging.ERROR
)  # it warns of each connection beyond the pool's size
_STALL_SECONDS = 30.0
_IDLE_CONNECTIONS = 32  # the pool's size; concurrent calls beyond it open more


class _PlainConnection(HTTPConnection):
    """Replaces the connect timeout, under which urllib3 also sends: a busy store may read a song slowly."""

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
    """The bucket of songs and the bucket of stems. Methods raise StoreUnavailable where the server does not answer."""

    def __init__(self, minio: Minio, bucket_in: str = "queue", bucket_out: str = "output") -> None:
        self.minio, self.bucket_in, self.bucket_out = minio, bucket_in, bucket_out
        self._buckets_made = False

    @classmethod
    def from_settings(cls, settings: Settings, *, retries: int = 1) -> Self:
        """Connect at the first call. Each call waits at most 1 s for a connection and 30 s for data, and is retried."""
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

    def retrying(self, pause: Callable[[], None]) -> Self:
        """Return the same buckets with calls that are repeated, for as long as the server does not answer.

        `pause` waits before each repetition; an exception of it ends the call.
        """
        other = copy(self)
        other.minio = RetryingMinio(self.minio, pause)
        return other

    def make_buckets(self) -> None:
        """Create the missing buckets."""
        for bucket in self.missing_buckets():
            self._make_bucket(bucket)
        self._buckets_made = True

    def check_writable(self) -> None:
        """Write and remove an object."""
        self._put(self.bucket_out, "probe", b"probe")
        self._remove(self.bucket_out, "probe")

    def missing_buckets(self) -> list[str]:
        """Return the names of the missing buckets; create none."""
        with self._translate_errors():
            return [bucket for bucket in (self.bucket_in, self.bucket_out) if not self.minio.bucket_exists(bucket)]

    def round_trip(self) -> datetime:
        """Write, read and remove an object in each bucket; return the time of the store's clock, to the second."""
        key = f"probe-{secrets.token_hex(8)}"
        for bucket in (self.bucket_in, self.bucket_out):
            self._put(bucket, key, b"probe")
            if self._get(bucket, key) != b"probe":
                raise StoreUnavailable("The store returned other bytes than were written; read its log.")
            with self._translate_errors():
                headers = self.minio.stat_object(bucket, key).metadata or {}
            self._remove(bucket, key)
        return parsedate_to_datetime(headers["Date"])

    def has_lifecycle_rules(self) -> bool:
        """Return whether both buckets have our lifecycle rule."""
        with self._translate_errors():
            return all(has_rule(self.minio, bucket) for bucket in (self.bucket_in, self.bucket_out))

    def set_lifecycle_rules(self, days: int) -> None:
        """Make the store delete objects after `days`, and the parts of interrupted uploads after one day.

        The rules back up our own retention. Buckets that others created, and stores without lifecycle rules, get none.
        """
        self._ensure_buckets()
        for bucket in (self.bucket_in, self.bucket_out):
            why = "another program created the bucket"
            try:
                with self._translate_errors():
                    if expire_objects(self.minio, bucket, days):
                        continue
            except StoreUnavailable as problem:
                why = problem.detail
            log.event(_log, "no lifecycle rule", bucket=bucket, why=why)

    def _put(self, bucket: str, key: str, content: bytes) -> None:
        self._ensure_buckets()
        with self._translate_errors():
            self.minio.put_object(bucket, key, io.BytesIO(content), len(content), content_type="application/json")

    def _remove(self, bucket: str, key: str) -> None:
        with self._translate_errors():
            self.minio.remove_object(bucket, key)

    def _get(self, bucket: str, key: str) -> bytes | None:
        return self._get_with_etag(bucket, key)[0]

    def _get_with_etag(self, bucket: str, key: str) -> tuple[bytes | None, str]:
        """Return the object's content and ETag; None and an empty ETag where there is no object."""
        self._ensure_buckets()
        try:
            with self._translate_errors():
                response = self.minio.get_object(bucket, key)
                try:
                    return response.read(), response.headers["ETag"].strip('"')
                finally:
                    response.close()
                    response.release_conn()
        except ObjectMissing:
            return None, ""

    def list_objects(self, bucket: str, prefix: str = "", after: str | None = None) -> Iterator[tuple[str, Object]]:
        """Yield the objects whose keys begin with `prefix` and come after `after`, in the order of their keys."""
        self._ensure_buckets()
        with self._translate_errors():
            for found in self.minio.list_objects(bucket, prefix=prefix, start_after=after):
                if found.object_name:
                    yield found.object_name, found

    def _ensure_buckets(self) -> None:
        if not self._buckets_made:
            self.make_buckets()

    def _make_bucket(self, bucket: str) -> None:
        with self._translate_errors():
            try:
                self.minio.make_bucket(bucket)
            except S3Error as error:
                if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                    raise  # else another process created it
                return
        try:
            with self._translate_errors():
                mark_bucket(self.minio, bucket)
        except StoreUnavailable as problem:
            log.event(_log, "no lifecycle rule", bucket=bucket, why=problem.detail)

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except S3Error as error:
            if error.code == "NoSuchBucket":
                self._buckets_made = False  # it was deleted; the next call creates it
            raise store_problem(error) from error
        except (MinioException, HTTPError) as error:
            raise StoreUnavailable(
                f"The store does not answer ({type(error).__name__}); try again in a few seconds."
            ) from error
