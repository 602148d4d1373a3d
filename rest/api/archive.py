"""GET /apiv1/archive: sends all stems of a song as one ZIP file."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial, reduce
from typing import cast

from flask import Response
from flask_openapi3.blueprint import APIBlueprint

from msas.errors import UnknownSong, UnknownStem
from msas.queue import JobView
from msas.report import Stem
from msas.store.s3_errors import ObjectMissing
from rest.api.openapi import NEEDS_KEY, binary_response, problem_responses
from rest.api.ranges import send_file
from rest.api.schemas import ArchivePath
from rest.api.tracks import finished, song_title
from rest.api.zip_layout import Member, ZipLayout
from rest.services import services

_TYPE = "application/zip"
_ZIP = binary_response(_TYPE)
_NOT_IN_NAMES = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # of Windows

blueprint = APIBlueprint("archive", __name__, abp_security=NEEDS_KEY)


@blueprint.get(
    "/archive/<archive>",
    responses={200: _ZIP, 206: dict(_ZIP), 304: None, **problem_responses(404, 409, 416)},
)
def archive(path: ArchivePath) -> Response:
    """Send all stems as a ZIP file: stored, not deflated, for sound does not get smaller by it. HEAD sends its headers.

    Honours Range (one at a time), If-Range and If-None-Match; the ETag changes with the file's bytes.
    """
    songhash, _, extension = path.archive.partition(".")
    if extension != "zip":
        raise UnknownSong("There is no such archive; ask for /apiv1/archive/<songhash>.zip.")
    job = finished(services().job(songhash))
    if not job.tracks:
        raise UnknownStem("All stems of this song were removed; send the song again.")
    title = song_title(job)
    folder = _folder(title) or songhash
    members = [_member(job, stem, folder) for stem in job.tracks]
    layout = ZipLayout(members, cast(datetime, job.ended_at))
    digests = "".join(stem.sha256 for stem in job.tracks)
    etag = hashlib.sha256(digests.encode() + layout.own_bytes).hexdigest()
    return send_file(layout.read, layout.size, etag, _TYPE, f"{title}.zip")


def _member(job: JobView, stem: Stem, folder: str) -> Member:
    """Return the stem as a member of the ZIP."""
    open_stem = partial(services().store.open_stem, job.songhash, stem.name, stem.extension, tag=job.tag)
    crc32 = int(stem.crc32, 16) if stem.crc32 else _read_crc32(open_stem)
    return Member(f"{folder}/{stem.file_name}", stem.bytes, crc32, open_stem)


def _read_crc32(open_stem: Callable[[], Iterable[bytes]]) -> int:
    """Read a stem for its CRC-32, which reports of version 0.1.0 lack."""
    try:
        return reduce(lambda crc32, chunk: zlib.crc32(chunk, crc32), open_stem(), 0)
    except ObjectMissing:
        raise UnknownStem("The store has lost a stem of this song; send the song again.") from None


def _folder(title: str) -> str:
    """Return a name of a folder that every system can make, Windows too; it may be empty."""
    name = _NOT_IN_NAMES.sub("_", title).strip(". ")
    return f"_{name}" if _DEVICES.fullmatch(name) else name
