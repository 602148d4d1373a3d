"""GET /apiv1/queue, GET and POST /apiv1/status, DELETE /apiv1/remove: lists, describes and removes jobs."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from typing import Any

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from gevent import sleep

from msas.errors import BeingRemoved
from msas.job import SONGHASH, Stage
from msas.queue import JobView, ModelLoads
from msas.removal import remove as remove_job
from msas.report import Stem
from rest.api.openapi import NEEDS_KEY, json_response, problem_responses
from rest.api.schemas import (
    MOST_SONGS,
    Line,
    LoadingAnswer,
    QueueQuery,
    Removed,
    SongPath,
    StatusAnswer,
    StatusesAnswer,
    StatusQuery,
    TrackAnswer,
    list_request,
)
from rest.api.tracks import track_url
from rest.middleware.auth import caller, sees, sees_all
from rest.services import services, unknown_song
from rest.uploads.receive import read_list

blueprint = APIBlueprint("jobs", __name__, abp_security=NEEDS_KEY)

_SONGS, _SONGS_BYTES = '{"songs": ["<songhash>", ...]}', 64_000


@blueprint.get("/queue", responses={200: Line, **problem_responses()})
def queue(query: QueueQuery) -> Response:
    """List the songhashes that wait, oldest first, those that run, and those that wait for their next attempt.

    With keys, those that the caller's key was the first to send. At most 1,000 of each at once: `offset` leaves out the
    first ones that wait. The header X-Total-Count says how many wait in all.
    """
    found = services().queue.list_jobs(query.offset, query.limit, None if sees_all() else caller())
    response = json_response(Line(queue=found.waiting, running=found.running, waiting_retry=found.delayed))
    response.headers["X-Total-Count"] = str(found.count)
    return response


@blueprint.get("/status/<songhash>", responses={200: StatusAnswer, 304: None, **problem_responses(404)})
def status(path: SongPath, query: StatusQuery) -> Response:
    """Say how the job is doing.

    With `wait`, the answer comes once the job has changed, or after so many seconds. Where the caller says with
    If-None-Match what it knows, a change since then counts, so that none is missed; 304 means that there was none.
    """
    job = services().job(path.songhash)
    known = request.if_none_match
    seen = _etag(job)

    def is_news(status: JobView) -> bool:
        return status.has_ended or (_etag(status) not in known if known else _etag(status) != seen)

    if query.wait and not (job.has_ended or (known and seen not in known)):
        services().long_polls.wait(path.songhash, is_news, query.wait)
        job = services().job(path.songhash)
        seen = _etag(job)
    response = json_response(describe_job(job, services().eta.seconds(job)))
    response.set_etag(seen)
    response.headers["Cache-Control"] = "no-cache"
    response.make_conditional(request)
    return response


@blueprint.post(
    "/status",
    responses={200: StatusesAnswer, **problem_responses(400, 413, 422)},
    openapi_extensions={"requestBody": list_request("songs", MOST_SONGS, "songhashes")},
)
def statuses() -> Response:
    """Say how the jobs of up to 500 songs are doing; each is described as by GET /apiv1/status/<songhash>."""
    songhashes = list(dict.fromkeys(read_list(request, "songs", _SONGS, MOST_SONGS, _SONGS_BYTES)))
    found = services().results.jobs([each for each in songhashes if SONGHASH.fullmatch(each)])
    jobs = {songhash: job for songhash, job in found.items() if job and sees(job)}
    songs = []
    for job in jobs.values():
        songs.append(describe_job(job, services().eta.seconds(job)))
        sleep(0)  # hundreds take a moment; others are served in between
    # JSON knows halves of letters (\ud800) that no answer can hold.
    unknown = [each.encode("utf-8", "replace").decode() for each in songhashes if each not in jobs]
    return json_response(StatusesAnswer(songs=songs, unknown=unknown))


@blueprint.delete("/remove/<songhash>", responses={200: Removed, **problem_responses(404)})
def remove(path: SongPath) -> Response:
    """Remove the song and all its stems; where it waits or is being separated, that ends.

    Where other keys sent it, too, it is removed for the caller alone.
    """
    if not SONGHASH.fullmatch(path.songhash):
        raise unknown_song()
    owner = "" if sees_all() else caller()
    outcome = remove_job(services().queue, services().store, path.songhash, owner=owner)
    if outcome == "busy":
        raise BeingRemoved("Somebody else is removing this song right now; ask again in a few seconds.")
    if outcome == "":
        raise unknown_song()
    return json_response(Removed(hash=path.songhash, reason="Song removed"))


def describe_job(job: JobView, eta_seconds: float | None) -> StatusAnswer:
    """Return the API's answer about the job. Its fields have the values of the same fields of JobView, or of Report."""
    own = {each.name for each in fields(JobView)}
    values: dict[str, Any] = {
        name: getattr(job if name in own else job.report, name, None) for name in StatusAnswer.model_fields
    }
    values["hash"] = job.songhash
    values["loading"] = _describe_download(job)
    values["tracks"] = [_track(job, stem) for stem in job.tracks]
    values["mixture"] = _track(job, job.mixture) if job.mixture else None
    return StatusAnswer(**{**values, "eta_seconds": eta_seconds})


def _describe_download(job: JobView) -> LoadingAnswer | None:
    """Return how far the download of the job's model is; None where the job does not wait for one."""
    if job.stage != Stage.LOADING:
        return None
    loads = {load.model: load for load in ModelLoads(services().queue).read()}
    return LoadingAnswer(**vars(loads[job.model])) if job.model in loads else None


def _track(job: JobView, track: Stem) -> TrackAnswer:
    return TrackAnswer(name=track.name, url=track_url(job.songhash, track), bytes=track.bytes, seconds=track.seconds)


def _etag(job: JobView) -> str:
    """Return a digest of the answer about the job, without the estimate of its end, which changes all the time."""
    return hashlib.sha256(describe_job(job, None).model_dump_json().encode()).hexdigest()[:32]
