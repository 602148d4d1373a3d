"""POST /apiv1/separate and /apiv1/retry: checks a song, stores it, and enqueues its job."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from threading import BoundedSemaphore
from typing import Any
from urllib.parse import urlsplit

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from gevent.threadpool import ThreadPool

from msas.cost import SongLimits
from msas.errors import BadOption, BeingRemoved, NotFailed, QueueFull, SongMissing, TooMany
from msas.job import Job, Status, song_name, songhash
from msas.logs import log
from msas.models import Model
from msas.options import Options
from msas.queue import Bounds, JobLookup, UpkeepRecord
from msas.removal import remove
from msas.settings import Settings
from rest.api.openapi import NEEDS_KEY, json_response, problem_responses
from rest.api.schemas import SongPath, Taken, song_request
from rest.middleware.auth import caller
from rest.middleware.headers import request_id
from rest.services import read_offer, services
from rest.uploads.receive import BARE, Upload, form_fields, receive

blueprint = APIBlueprint("separate", __name__, abp_security=NEEDS_KEY)
_log = logging.getLogger("msas.rest")

_CALLBACK_BYTES = 64_000
# Of one owner's callbacks that wait in Redis: 4% of its 384 MB, and more than one for each of MAX_QUEUE_PER_KEY songs.
_WAITING_CALLBACK_BYTES = 16_000_000
_LATER_SECONDS = 60
_HASHING = ThreadPool(2)  # threads of their own: gevent's resolve names, too, and may wait long for a name server
_STORING = BoundedSemaphore(8)  # each song on its way to the store takes 5 MB of memory, and more at once are no faster
_REASONS = {
    Status.QUEUED: "Song already enqueued for separation",
    Status.RUNNING: "Song is being separated",
    Status.SUCCEEDED: "Song already separated",
}


@blueprint.post(
    "/separate",
    responses={200: Taken, **problem_responses(400, 413, 415, 422)},
    openapi_extensions={"requestBody": song_request()},
)
def separate() -> Response:
    """Take a song: base64 in JSON, a form with a `file`, or the bare bytes with the options in the query.

    The same song with the same options has the same hash, and is separated once, however often it is sent.
    """
    settings = services().settings
    offered, default = _refuse_before_the_body(settings)
    with receive(request, settings.max_upload_mb) as upload:
        options = Options.from_fields(upload.fields, offered, default)
        callback = _callback(upload.fields)
        identity = _HASHING.apply(songhash, (upload.song, options))
        upload.song.seek(0)
        info = services().probe_pool.probe(upload.song, settings.max_duration_minutes)
        stems = next(len(model.stems) for model in offered if model.name == options.model)
        SongLimits.from_settings(settings).check(options, stems, info.seconds, info.rate)
        name = song_name(upload.fields.get("name"))
        job = Job(identity, options, name, callback, info.seconds, caller(), request_id())
        created, status = _accept(job, upload)
    if status is Status.CANCELLED:
        raise BeingRemoved("The song is just being removed; send it again in a few seconds.")
    reason = "Song enqueued for separation" if created else _REASONS[status]
    log.event(_log, "song received", songhash=identity, model=options.model, bytes=upload.size, created=created)
    return json_response(Taken(hash=identity, reason=reason, status=status, model=options.model))


@blueprint.post("/retry/<songhash>", responses={200: Taken, **problem_responses(404, 409)})
def retry(path: SongPath) -> Response:
    """Separate a song anew whose separation failed; it still lies in the store."""
    known = services().job(path.songhash)
    if known.status is not Status.FAILED:
        raise NotFailed(f"The song is {known.status}; only one that failed can be tried again.")
    services().redis_memory.check()
    services().store_space.check()
    message = services().store.message(known.songhash)
    if message is None:
        raise SongMissing("The song is no longer in the store; send it again.")
    job = replace(Job.from_message(message), owner=caller(), request_id=request_id())
    _check_callbacks(job, services().queue.look_up(job.songhash, job.owner))
    created, status, _ = services().queue.admit(job, Bounds.from_settings(services().settings), removals=0)
    if status is Status.CANCELLED:
        raise BeingRemoved("The song is just being removed; send it again in a few seconds.")
    log.event(_log, "song retried", songhash=job.songhash, created=created)
    reason = "Song enqueued for separation" if created else _REASONS[status]
    return json_response(Taken(hash=job.songhash, reason=reason, status=status, model=known.model or ""))


def _refuse_before_the_body(settings: Settings) -> tuple[list[Model], str]:
    """Raise what would refuse any song of this caller; return the models on offer and the default's name."""
    services().redis_memory.check()
    services().store_space.check()
    offer = services().queue.advertised_models(caller(), Bounds.from_settings(settings))
    offered, default = read_offer(offer)
    if request.mimetype.startswith(BARE):  # the options are in the query
        Options.from_fields(form_fields(request.args), offered, default)
    return offered, default


def _accept(job: Job, upload: Upload) -> tuple[bool, Status]:
    """Store the song and enqueue its job, unless both are there; return whether it was new, and its status.

    The job's message is stored beside the song before Redis learns of the job: from then on no job is lost, whatever
    happens to Redis. Before both, Redis notes the song, so that the leader enqueues a job that this process could not.
    """
    queue, store = services().queue, services().store

    def keep() -> None:
        with _STORING:
            store.put_song(job.songhash, upload.song, upload.size)
        store.put_message(job.songhash, job.message())

    known = queue.look_up(job.songhash, job.owner, upload.size)
    _check_callbacks(job, known)
    status = known.status
    if status is Status.CANCELLED:
        return False, Status.CANCELLED
    if status is Status.SUCCEEDED and not known.is_incomplete and store.published(job.songhash) is None:
        remove(queue, store, job.songhash)  # its stems are gone, whoever took them
        status, known = None, queue.look_up(job.songhash, job.owner, upload.size)
    is_kept = status in (None, Status.FAILED) or known.is_incomplete
    before = store.message(job.songhash) if status is Status.FAILED else None
    if is_kept:
        keep()
    try:
        created, status, may_be_gone = queue.admit(job, Bounds.from_settings(services().settings), known.removals)
    except (QueueFull, TooMany):
        if before:
            store.put_message(job.songhash, before)
        elif is_kept:
            remove(queue, store, job.songhash, ended_before=0)  # unless it was enqueued meanwhile
        raise
    if (created and not is_kept) or may_be_gone:
        UpkeepRecord(queue).note_received(job.songhash, upload.size)
        keep()
    if job.owner and job.owner not in known.owners:
        store.put_owner(job.songhash, job.owner)
    return created, status


def _check_callbacks(job: Job, known: JobLookup) -> None:
    """Raise TooMany where the job has a callback, and those of its owner that wait take up as much as they may.

    Requests that come at once may exceed it, by one callback each.
    """
    if job.callback and known.callback_bytes >= _WAITING_CALLBACK_BYTES:
        most = f"{_WAITING_CALLBACK_BYTES // 1_000_000} MB"
        raise TooMany(f"Your callbacks that wait take up {most}, as much as they may; try again later.", _LATER_SECONDS)


def _callback(fields: dict[str, Any]) -> dict[str, Any] | None:
    callback = fields.get("callback")
    if callback is None:
        return None
    if not isinstance(callback, dict) or not _is_web_address(callback.get("url")):
        raise BadOption(
            "The field 'callback' must be an object whose 'url' begins with http:// or https://, or be left out."
        )
    wanted = {"url": callback["url"], "data": callback.get("data")}
    try:
        # Deeper than it will lie in the job's message, so that encoding that can not fail later on.
        size = len(json.dumps([[[[[[[[wanted]]]]]]]]))
    except RecursionError:
        size = _CALLBACK_BYTES + 1
    if size > _CALLBACK_BYTES:
        raise BadOption(f"The field 'callback' is too large; send at most {_CALLBACK_BYTES} bytes of it as JSON.")
    return wanted


def _is_web_address(url: object) -> bool:
    try:
        return isinstance(url, str) and urlsplit(url).scheme in ("http", "https") and bool(urlsplit(url).hostname)
    except ValueError:
        return False
