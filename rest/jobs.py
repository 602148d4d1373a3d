"""Jobs: what waits, how one is doing, and its removal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, jsonify

from msas.job import SONGHASH, State
from msas.problem import BeingRemoved
from msas.reconcile import remove as remove_job
from msas.status import JobStatus
from rest.services import services, unknown_song
from rest.tracks import track_url

blueprint = Blueprint("jobs", __name__)


@blueprint.get("/queue")
def queue() -> Response:
    """List the songhashes that wait, oldest first, those that run, and those that wait for their next try."""
    waiting, running, delayed = services().queue.overview()
    return jsonify(queue=waiting, running=running, waiting_retry=delayed)


@blueprint.get("/status/<songhash>")
def status(songhash: str) -> Response:
    """Say how the job is doing."""
    return jsonify(_described(services().job(songhash)))


@blueprint.delete("/remove/<songhash>")
def remove(songhash: str) -> Response:
    """Remove the song and all its stems; where it waits or is being separated, that ends."""
    if not SONGHASH.fullmatch(songhash):
        raise unknown_song()
    state = remove_job(services().queue, services().store, songhash)
    if state == "busy":
        raise BeingRemoved("Somebody else is removing this song right now; ask again in a few seconds.")
    if state == "":
        raise unknown_song()
    return jsonify(hash=songhash, reason="Song removed")


def _described(job: JobStatus) -> dict[str, Any]:
    return {
        "hash": job.songhash,
        "status": job.state,
        "stage": job.stage,
        "progress": round(job.progress, 4),
        "queue_position": job.position,
        "eta_seconds": _eta_seconds(job),
        "attempt": job.attempt,
        "model": job.model,
        "options": job.options,
        "name": job.name,
        "enqueued_at": _iso(job.enqueued_at),
        "started_at": _iso(job.started_at),
        "ended_at": _iso(job.ended_at),
        "tracks": [
            {
                "name": track.name,
                "url": track_url(job.songhash, track),
                "bytes": track.bytes,
                "seconds": track.seconds,
            }
            for track in job.tracks
        ],
        "report": job.report,
        "error": job.error,
    }


def _eta_seconds(job: JobStatus) -> float | None:
    """Estimate what is left of a running job by what it took so far."""
    if job.state is not State.RUNNING or not job.started_at or job.progress <= 0:
        return None
    so_far = (datetime.now(UTC) - job.started_at).total_seconds()
    return max(0.0, round(so_far / job.progress * (1 - job.progress), 1))


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="milliseconds") if moment else None
