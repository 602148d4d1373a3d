"""S3 writes, whole or part by part, that succeed only where no other process stored the object meanwhile."""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import Protocol
from xml.sax.saxutils import escape

from minio import Minio
from minio.error import MinioException, S3Error
from urllib3.exceptions import HTTPError

from msas.errors import StoreUnavailable
from msas.store.buckets import Buckets
from msas.store.s3_errors import ObjectMissing, ObjectTaken

_PART_BYTES = 5 * 1024 * 1024  # S3's minimum for all parts of an upload but the last
_JSON = "application/json"
_Headers = dict[str, str | list[str] | tuple[str]]
_NEW: _Headers = {"If-None-Match": "*"}
_TOKEN = "x-amz-meta-upload"
_NEVER: _Headers = {"If-Match": '"0"'}  # no object has this ETag


class Readable(Protocol):
    """A file: `read` returns `size` bytes, fewer at its end."""

    def read(self, size: int) -> bytes: ...


class ConditionalBuckets(Buckets):
    """Conditional writes; on servers without them a check and then a write, which is not atomic."""

    def __init__(self, minio: Minio, bucket_in: str = "queue", bucket_out: str = "output") -> None:
        super().__init__(minio, bucket_in, bucket_out)
        self._supported = list[bool]()  # empty until the first check; shared with copies

    def supports_conditions(self) -> bool:
        """Return whether the server refuses writes whose condition does not hold. The first call tries it."""
        if not self._supported:
            key = f"probe-{secrets.token_hex(8)}"
            self._put(self.bucket_out, key, b"probe")
            self._supported.append(all(self._refuses(key, condition) for condition in (_NEW, _NEVER)))
            self._remove(self.bucket_out, key)
        return self._supported[0]

    def _refuses(self, key: str, condition: _Headers) -> bool:
        with self._translate_errors():
            try:
                self.minio._put_object(self.bucket_out, key, b"again", condition)
            except S3Error as error:
                if error.code not in ("PreconditionFailed", "NotImplemented"):
                    raise
                return error.code == "PreconditionFailed"
        return False

    def _put_if(self, bucket: str, key: str, content: bytes, seen: str) -> bool:
        """Store `content` if the object still has the ETag `seen`; with an empty one, if there is no object.

        Returns whether `content` is stored now.
        """
        if not self.supports_conditions():
            if self._etag(bucket, key) != seen:
                return False
            self._put(bucket, key, content)
            return True
        condition: _Headers = {"If-Match": f'"{seen}"'} if seen else _NEW
        try:
            with self._translate_errors():
                self.minio._put_object(bucket, key, content, {"Content-Type": _JSON, **condition})
        except (ObjectTaken, ObjectMissing):
            return self._get(bucket, key) == content  # True after a retry whose first reply was lost
        return True

    def _upload(self, bucket: str, key: str, file: Readable, content_type: str) -> None:
        """Store the content of `file`, part by part. Raises ObjectTaken where the object exists already.

        An exception of `file` is raised again; nothing is stored then.
        """
        condition: _Headers = _NEW if self.supports_conditions() else {}
        part = file.read(_PART_BYTES)
        if len(part) == _PART_BYTES:
            self._upload_parts(bucket, key, part, file, content_type, condition)
            return
        try:
            with self._translate_errors():
                self.minio._put_object(bucket, key, part, {"Content-Type": content_type, **condition})
        except ObjectTaken:
            if self._get(bucket, key) != part:  # True after a retry whose first reply was lost
                raise

    def _upload_parts(
        self, bucket: str, key: str, part: bytes, file: Readable, content_type: str, condition: _Headers
    ) -> None:
        token = secrets.token_hex(8)
        try:
            self._send_parts(bucket, key, part, file, {"Content-Type": content_type, _TOKEN: token}, condition)
        except (ObjectTaken, StoreUnavailable):
            if self._token(bucket, key) != token:  # else the upload succeeded, and its reply was lost
                raise

    def _send_parts(
        self, bucket: str, key: str, part: bytes, file: Readable, about: _Headers, condition: _Headers
    ) -> None:
        minio, etags = self.minio, list[str]()
        with self._translate_errors():
            upload = minio._create_multipart_upload(bucket, key, about)
            try:
                while part:
                    etags.append(minio._upload_part(bucket, key, part, None, upload, len(etags) + 1))
                    part = file.read(_PART_BYTES) if len(part) == _PART_BYTES else b""
                headers: _Headers = {"Content-Type": "application/xml", **condition}
                query: _Headers = {"uploadId": upload}
                answer = minio._execute("POST", bucket, key, _completion(etags), headers, query_params=query)
            except BaseException:
                with suppress(MinioException, HTTPError):
                    minio._abort_multipart_upload(bucket, key, upload)
                raise
        if b"<Error>" in answer.data:  # S3 may send the status before it knows the result
            raise StoreUnavailable("The store could not combine the parts of a stem; try again in a few seconds.")

    def _token(self, bucket: str, key: str) -> str | None:
        """Return the token of the upload that stored the object; None where there is none or the store is away."""
        with suppress(ObjectMissing, StoreUnavailable), self._translate_errors():
            metadata = self.minio.stat_object(bucket, key).metadata or {}
            return next((value for name, value in metadata.items() if name.lower() == _TOKEN), None)
        return None

    def _etag(self, bucket: str, key: str) -> str:
        """Return the object's ETag; '' where there is no object."""
        try:
            with self._translate_errors():
                return self.minio.stat_object(bucket, key).etag or ""
        except ObjectMissing:
            return ""


def _completion(etags: list[str]) -> bytes:
    parts = (f'<Part><PartNumber>{n}</PartNumber><ETag>"{escape(e)}"</ETag></Part>' for n, e in enumerate(etags, 1))
    return f"<CompleteMultipartUpload>{''.join(parts)}</CompleteMultipartUpload>".encode()
