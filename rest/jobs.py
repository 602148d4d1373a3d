"""Jobs: what waits, how one is doing, and its removal."""

from __future__ import annotations

import hashlib
from datetime import datetime

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint

from msas.job import SONGHASH, Stage, State
from msas.problem import BeingRemoved
from msas.reconcile import remove as remove_job
from msas.status import JobStatus, Track
from rest.contract import NEEDS_KEY, answer, problems
from rest.schemas import Failure, Line, Removed, SongPath, StatusAnswer, StatusQuery, TrackAnswer
from rest.services import services, unknown_song
from rest.tracks import track_url

blueprint = APIBlueprint("jobs", __name__, abp_security=NEEDS_KEY)


@blueprint.get("/queue", responses={200: Line, **problems()})
def queue() -> Response:
    """List the songhashes that wait, oldest first, those that run, and those that wait for their next try."""
    waiting, running, delayed = services().queue.overview()
    return answer(Line(queue=waiting, running=running, waiting_retry=delayed))


@blueprint.get("/status/<songhash>", responses={200: StatusAnswer, 304: None, **problems(404)})
def status(path: SongPath, query: StatusQuery) -> Response:
    """Say how the job is doing.

    With `wait`, the answer comes once the job has changed, or after so many seconds. Where the caller says with
    If-None-Match what it knows, a change since then counts, so that none is missed; 304 means that there was none.
    """
    job = services().job(path.songhash)
    known = request.if_none_match
    seen = _etag(job)

    def is_news(status: JobStatus) -> bool:
        return _over(status) or (_etag(status) not in known if known else _etag(status) != seen)

    if query.wait and not (_over(job) or (known and seen not in known)):
        services().long_polls.wait(path.songhash, is_news, query.wait)
        job = services().job(path.songhash)
        seen = _etag(job)
    response = answer(described(job, services().eta.seconds(job)))
    response.set_etag(seen)
    response.headers["Cache-Control"] = "no-cache"
    response.make_conditional(request)
    return response


@blueprint.delete("/remove/<songhash>", responses={200: Removed, **problems(404)})
def remove(path: SongPath) -> Response:
    """Remove the song and all its stems; where it waits or is being separated, that ends."""
    if not SONGHASH.fullmatch(path.songhash):
        raise unknown_song()
    state = remove_job(services().queue, services().store, path.songhash)
    if state == "busy":
        raise BeingRemoved("Somebody else is removing this song right now; ask again in a few seconds.")
    if state == "":
        raise unknown_song()
    return answer(Removed(hash=path.songhash, reason="Song removed"))


def described(job: JobStatus, eta_seconds: float | None) -> StatusAnswer:
    """Return the job as its callers are told of it."""
    return StatusAnswer(
        hash=job.songhash,
        status=job.state,
        stage=Stage(job.stage) if job.stage else None,
        progress=round(job.progress, 4),
        queue_position=job.position,
        eta_seconds=eta_seconds,
        attempt=job.attempt,
        model=job.model,
        options=job.options,
        name=job.name,
        seconds=job.seconds,
        enqueued_at=_iso(job.enqueued_at),
        started_at=_iso(job.started_at),
        ended_at=_iso(job.ended_at),
        tracks=[_track(job, track) for track in job.tracks],
        mixture=_track(job, job.mixture) if job.mixture else None,
        report=job.report,
        error=Failure(**job.error) if job.error else None,
        callback=job.callback,
    )


def _track(job: JobStatus, track: Track) -> TrackAnswer:
    return TrackAnswer(name=track.name, url=track_url(job.songhash, track), bytes=track.bytes, seconds=track.seconds)


def _over(job: JobStatus) -> bool:
    return job.state not in (State.QUEUED, State.RUNNING)


def _etag(job: JobStatus) -> str:
    """Return what changes with the job, though not with the estimate of its end, which changes all the time."""
    return hashlib.sha256(described(job, None).model_dump_json().encode()).hexdigest()[:32]


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="milliseconds") if moment else None
