"""GET of tracks and peaks, DELETE or GET /apiv1/remove of one stem: sends stems and waveforms, removes stems."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Any

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint

from msas.errors import NotFound, NotReady, SharedSong, UnknownStem
from msas.job import Status
from msas.queue import JobView
from msas.report import Stem
from msas.store.s3_errors import ObjectMissing
from msas.store.stems import CONTENT_TYPES
from rest.api.openapi import NEEDS_KEY, binary_response, json_response, problem_responses
from rest.api.ranges import send_file
from rest.api.schemas import PeaksAnswer, Removed, SongPath, StemPath
from rest.middleware.auth import caller, sees_all
from rest.services import services

blueprint = APIBlueprint("tracks", __name__, abp_security=NEEDS_KEY)

_TRIES = 100  # to remove a stem while others remove stems of the same song
_LAB_SPELLING = {"base": "bass"}
_SOUND = binary_response(*CONTENT_TYPES.values())


def track_url(songhash: str, track: Stem) -> str:
    """Return the path under which the stem is downloaded."""
    return f"/apiv1/track/{songhash}/{track.file_name}"


@blueprint.get(
    "/track/<songhash>/<track>",
    responses={200: _SOUND, 206: dict(_SOUND), 304: None, **problem_responses(404, 409, 416)},
)
def download(path: StemPath) -> Response:
    """Send a stem, or as `mixture` the song itself, encoded as its stems are. HEAD sends its headers alone.

    Honours Range (one at a time), If-Range and If-None-Match; the ETag is the SHA-256 of the stem.
    """
    job = services().job(path.songhash)
    track = find_track(job, path.track, *([job.mixture] if job.mixture else []))
    file_name = f"{song_title(job)}-{track.file_name}"
    kind = CONTENT_TYPES[track.extension]
    # `_open` opens the bytes; it is called once the range is known.
    return send_file(partial(_open, job, track), track.bytes, track.sha256, kind, file_name)


@blueprint.get("/peaks/<songhash>", responses={200: PeaksAnswer, **problem_responses(404, 409)})
def peaks(path: SongPath) -> Response:
    """Say how the stems and the mixture look as waveforms, and at which bytes of their files slices of them begin."""
    job = finished(services().job(path.songhash))
    found = services().store.peaks(job.songhash, job.tag)
    if found is None:
        raise NotFound("The song has no peaks: an earlier version separated it. Remove it, then send it again.")
    response = Response(found, content_type="application/json")
    response.set_etag(hashlib.sha256(found).hexdigest())
    response.headers["Cache-Control"] = "private, no-cache"
    response.make_conditional(request)
    return response


@blueprint.get("/remove/<songhash>/<track>", responses={200: Removed, **problem_responses(404, 409)})
def remove_by_get(path: StemPath) -> Response:
    """Remove one stem; GET is what the lab's first clients call."""
    return _remove(path)


@blueprint.delete("/remove/<songhash>/<track>", responses={200: Removed, **problem_responses(404, 409)})
def remove(path: StemPath) -> Response:
    """Remove one stem."""
    return _remove(path)


def _remove(path: StemPath) -> Response:
    found, job = _prune_job(path.songhash, path.track)
    if job.report:
        services().store.delete_stem(job.report, found.name)
    services().queue.note_report_changed(job)
    return json_response(Removed(hash=path.songhash, track=found.name, reason="Stem removed"))


def _prune_job(songhash: str, name: str) -> tuple[Stem, JobView]:
    """Take the stem out of the job; return it, and the job's status with the report that named it."""
    for _ in range(_TRIES):
        job = services().job(songhash)
        try:
            found = find_track(job, name)
        except UnknownStem:
            if job.report and (stem := _stem_name(name)) in job.report.removed:
                services().store.delete_stem(job.report, stem)  # its removal may have been cut short
            raise
        pruned = services().queue.note_stem_removed(job, "" if sees_all() else caller())
        if pruned > 0:
            return found, job
        if pruned == -1:
            raise SharedSong("Another key sent this song, too, so its stems stay; remove the whole song for yourself.")
        if pruned == 0:
            break
    raise NotReady("The song is being separated again, or removed; ask for its status, then try again.")


def finished(job: JobView) -> JobView:
    """Return the job where it has succeeded. Raises NotReady, which says what it is instead."""
    if job.status is Status.FAILED and job.error:
        raise NotReady(f"The separation failed, so there are no stems: {job.error['message']}")
    if job.status is not Status.SUCCEEDED:
        raise NotReady(f"The song is {job.status}; ask GET /apiv1/status/{job.songhash} until it has succeeded.")
    return job


def find_track(job: JobView, name: str, *others: Stem) -> Stem:
    """Return the stem, or one of `others`, that `name` means: `vocals`, `vocals.mp3`, or the lab's own `base.mp3`.

    Raises NotReady, UnknownStem.
    """
    stem, extension = _stem_name(name), name.partition(".")[2]
    for track in (*finished(job).tracks, *others):
        if track.name == stem and extension in ("", track.extension):
            return track
    raise _unknown(job)


def _stem_name(name: str) -> str:
    stem = name.partition(".")[0]
    return _LAB_SPELLING.get(stem, stem)


def song_title(job: JobView) -> str:
    """Return what the song is called in file names."""
    return job.name.rpartition(".")[0] or job.name or job.songhash


def _open(job: JobView, track: Stem, start: int, length: int) -> Any:
    store = services().store
    key = (job.songhash, track.name, track.extension)
    try:
        if request.method == "HEAD":
            if not store.has_stem(*key, job.tag):
                raise ObjectMissing(track.name)
            return ()
        return store.open_stem(*key, start, length, tag=job.tag)
    except ObjectMissing:
        raise _unknown(job) from None


def _unknown(job: JobView) -> UnknownStem:
    names = ", ".join(track.name for track in job.tracks) or "none"
    return UnknownStem(f"The song has no such stem; it has: {names}.")
