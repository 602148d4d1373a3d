"""All stems of a song in one file."""

from __future__ import annotations

import re
from collections.abc import Iterator

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from zipstream import ZipStream

from msas.problem import UnknownSong, UnknownStem
from msas.status import Track
from msas.store import Store
from rest.contract import NEEDS_KEY, bytes_of, problems
from rest.schemas import ArchivePath
from rest.services import services
from rest.tracks import disposition, finished, song_title

_NOT_IN_NAMES = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # of Windows

blueprint = APIBlueprint("archive", __name__, abp_security=NEEDS_KEY)


@blueprint.get("/archive/<archive>", responses={200: bytes_of("application/zip"), **problems(404, 409)})
def archive(path: ArchivePath) -> Response:
    """Send all stems as a ZIP file, streamed: stored, not deflated, for sound does not get smaller by it."""
    songhash, _, extension = path.archive.partition(".")
    if extension != "zip":
        raise UnknownSong("There is no such archive; ask for /apiv1/archive/<songhash>.zip.")
    job = finished(services().job(songhash))
    if not job.tracks:
        raise UnknownStem("All stems of this song were removed; send the song again.")
    title = song_title(job)
    folder = _folder(title) or songhash
    # zipstream-ng knows the whole's length from the parts', so that a broken download is noticed.
    archive = ZipStream(sized=True)
    for track in job.tracks:
        archive.add(
            _chunks(services().store, songhash, track), f"{folder}/{track.name}.{track.extension}", size=track.bytes
        )
    response = Response(iter(archive), content_type="application/zip")
    response.content_length = len(archive)
    response.headers["Content-Disposition"] = disposition(f"{title}.zip")
    return response


def _folder(title: str) -> str:
    """Return a name of a folder that every system can make, Windows too; it may be empty."""
    name = _NOT_IN_NAMES.sub("_", title).strip(". ")
    return f"_{name}" if _DEVICES.fullmatch(name) else name


def _chunks(store: Store, songhash: str, track: Track) -> Iterator[bytes]:
    """Open the stem only when its turn comes."""
    yield from store.open_stem(songhash, track.name, track.extension)
