"""POST /apiv1/retry: separates a song again whose separation failed, without sending it again."""

from __future__ import annotations

import logging
from dataclasses import replace

from flask import Response
from flask_openapi3.blueprint import APIBlueprint

from msas.errors import NotFailed, SongMissing
from msas.job import Job, Status
from msas.logs import log
from msas.queue import Bounds
from rest.api.openapi import NEEDS_KEY, problem_responses
from rest.api.schemas import SongPath, Taken
from rest.api.separate import answer_accepted
from rest.callbacks.request_field import check_callback_room
from rest.middleware.auth import caller
from rest.middleware.headers import request_id
from rest.services import services

blueprint = APIBlueprint("retry", __name__, abp_security=NEEDS_KEY)
_log = logging.getLogger("msas.rest")


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
    check_callback_room(job, services().queue.look_up(job.songhash, job.owner))
    created, status, _ = services().queue.admit(job, Bounds.from_settings(services().settings), removals=0)
    answer = answer_accepted(job.songhash, known.model or "", created, status)
    log.event(_log, "song retried", songhash=job.songhash, created=created)
    return answer
