"""Stems: their download and removal."""

from __future__ import annotations

from urllib.parse import quote

from flask import Blueprint, Response, jsonify, request

from msas.buckets import ObjectMissing
from msas.job import State
from msas.problem import NotReady, UnknownStem
from msas.status import JobStatus, Track
from rest.services import services

blueprint = Blueprint("tracks", __name__)

_LAB_SPELLING = {"base": "bass"}


def track_url(songhash: str, track: Track) -> str:
    """Return the path under which the stem is downloaded."""
    return f"/apiv1/track/{songhash}/{track.name}.{track.extension}"


@blueprint.get("/track/<songhash>/<track>")
def download(songhash: str, track: str) -> Response:
    """Send a stem, streamed from the store. HEAD sends its headers alone."""
    job = services().job(songhash)
    found = _find(job, track)
    try:
        stem = services().store.open_stem(songhash, found.name, found.extension, head=request.method == "HEAD")
    except ObjectMissing:
        raise _unknown(job) from None
    answer = Response(stem.chunks, content_type=stem.content_type)
    answer.content_length = stem.size
    answer.set_etag(stem.etag)
    answer.headers["Content-Disposition"] = _disposition(job, found)
    return answer


@blueprint.route("/remove/<songhash>/<track>", methods=["GET", "DELETE"])
def remove(songhash: str, track: str) -> Response:
    """Remove one stem."""
    job = services().job(songhash)
    found = _find(job, track)
    if job.report:
        stems = {name: stem for name, stem in job.report["stems"].items() if name != found.name}
        report = {**job.report, "stems": stems, "removed": [*job.report.get("removed", []), found.name]}
        if not services().queue.prune(found.name, report):
            raise NotReady("The song is being separated again, or removed; ask for its status, then try again.")
        # The report before the stem: what it names is published, and must be there.
        services().store.put_report(report)
        if services().queue.status(songhash) is None:  # removed meanwhile
            services().store.remove_song(songhash)
    services().store.remove_stem(songhash, found.name, found.extension)
    return jsonify(hash=songhash, track=found.name, reason="Stem removed")


def _find(job: JobStatus, name: str) -> Track:
    """Return the stem that `name` means: `vocals`, `vocals.mp3`, or the lab's own `base.mp3`."""
    if job.state is State.FAILED and job.error:
        raise NotReady(f"The separation failed, so there are no stems: {job.error['message']}")
    if job.state is not State.SUCCEEDED:
        raise NotReady(f"The song is {job.state}; ask GET /apiv1/status/{job.songhash} until it has succeeded.")
    stem, _, extension = name.partition(".")
    stem = _LAB_SPELLING.get(stem, stem)
    for track in job.tracks:
        if track.name == stem and extension in ("", track.extension):
            return track
    raise _unknown(job)


def _unknown(job: JobStatus) -> UnknownStem:
    names = ", ".join(track.name for track in job.tracks) or "none"
    return UnknownStem(f"The song has no such stem; it has: {names}.")


def _disposition(job: JobStatus, track: Track) -> str:
    """Return a Content-Disposition whose file name also travels as UTF-8 (RFC 6266)."""
    song = job.name.rpartition(".")[0] or job.name or job.songhash
    file_name = f"{song}-{track.name}.{track.extension}"
    ascii_name = "".join(c if " " <= c <= "~" and c not in '"\\%' else "_" for c in file_name)
    return f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(file_name, safe='')}"
