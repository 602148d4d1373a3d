"""POST /apiv1/separate: checks a song, stores it, and enqueues its job."""

from __future__ import annotations

import logging
from threading import BoundedSemaphore

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from gevent.threadpool import ThreadPool

from msas.cost import SongLimits
from msas.errors import BeingRemoved, QueueFull, TooMany
from msas.job import Job, Status, compute_songhash, song_name
from msas.logs import log
from msas.models import Model
from msas.options import Options
from msas.queue import Bounds, UpkeepRecord
from msas.removal import remove
from msas.settings import Settings
from rest.api.openapi import NEEDS_KEY, json_response, problem_responses
from rest.api.schemas import Taken, song_request
from rest.callbacks.request_field import check_callback_room, read_callback
from rest.middleware.auth import caller
from rest.middleware.headers import request_id
from rest.services import read_offer, services
from rest.uploads.receive import BARE, Upload, form_fields, receive

blueprint = APIBlueprint("separate", __name__, abp_security=NEEDS_KEY)
_log = logging.getLogger("msas.rest")

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
        callback = read_callback(upload.fields)
        songhash = _HASHING.apply(compute_songhash, (upload.song, options))
        upload.song.seek(0)
        info = services().probe_pool.probe(upload.song, settings.max_duration_minutes)
        stem_count = next(len(model.stems) for model in offered if model.name == options.model)
        SongLimits.from_settings(settings).check(options, stem_count, info.seconds, info.rate)
        name = song_name(upload.fields.get("name"))
        job = Job(songhash, options, name, callback, info.seconds, caller(), request_id())
        created, status = _accept(job, upload)
    answer = answer_accepted(songhash, options.model, created, status)
    log.event(_log, "song received", songhash=songhash, model=options.model, bytes=upload.size, created=created)
    return answer


def answer_accepted(songhash: str, model: str, created: bool, status: Status) -> Response:
    """Return the answer about a song whose job was `created`, or had this `status` already. Raises BeingRemoved."""
    if status is Status.CANCELLED:
        raise BeingRemoved("The song is just being removed; send it again in a few seconds.")
    reason = "Song enqueued for separation" if created else _REASONS[status]
    return json_response(Taken(hash=songhash, reason=reason, status=status, model=model))


def _refuse_before_the_body(settings: Settings) -> tuple[list[Model], str]:
    """Raise what would refuse any song of this caller; return the models on offer and the default's name."""
    services().redis_memory.check()
    services().store_space.check()
    offer = services().queue.check_bounds(caller(), Bounds.from_settings(settings))
    offered, default = read_offer(offer)
    if request.mimetype.startswith(BARE):  # the options are in the query
        Options.from_fields(form_fields(request.args), offered, default)
    return offered, default


def _accept(job: Job, upload: Upload) -> tuple[bool, Status]:
    """Store the song and enqueue its job, unless both are there; return whether it was new, and its status.

    Redis notes the song first, so that the leader enqueues a job that this process could not. Then song and message are
    stored, then the job is enqueued: from then on no job is lost, whatever happens to Redis. In one rare case the song
    is stored after that, see below.
    """
    queue, store = services().queue, services().store
    known = queue.begin_receiving(job.songhash, job.owner, upload.size)
    check_callback_room(job, known)
    status = known.status
    if status is Status.CANCELLED:
        return False, Status.CANCELLED
    if status is Status.SUCCEEDED and not known.is_incomplete and store.published(job.songhash) is None:
        remove(queue, store, job.songhash)  # its stems are gone, whoever took them
        status, known = None, queue.begin_receiving(job.songhash, job.owner, upload.size)
    stores_song = status in (None, Status.FAILED) or known.is_incomplete
    old_message = store.message(job.songhash) if status is Status.FAILED else None
    if stores_song:
        _store_song(job, upload)
    try:
        created, status, may_be_gone = queue.admit(job, Bounds.from_settings(services().settings), known.removals)
    except (QueueFull, TooMany):
        if old_message:
            store.put_message(job.songhash, old_message)
        elif stores_song:
            remove(queue, store, job.songhash, ended_before=0)  # unless it was enqueued meanwhile
        raise
    # The job was removed, or failed, since `begin_receiving`, or a removal of any job began. A worker that claims the
    # job before the song is stored fails it with song_missing.
    if (created and not stores_song) or may_be_gone:
        UpkeepRecord(queue).note_received(job.songhash, upload.size)
        _store_song(job, upload)
    if job.owner and job.owner not in known.owners:
        store.put_owner(job.songhash, job.owner)
    return created, status


def _store_song(job: Job, upload: Upload) -> None:
    store = services().store
    with _STORING:
        store.put_song(job.songhash, upload.song, upload.size)
    store.put_message(job.songhash, job.message())
