"""A song comes in: check it, store it, put it in the queue."""

from __future__ import annotations

import base64
import binascii
import io
import json
import logging
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, jsonify, request

from msas import log
from msas.job import Job, State, song_name, songhash
from msas.options import Options
from msas.problem import BadBase64, BadOption, BeingRemoved, EmptySong, MissingSong, NotJson, TooLarge
from msas.reconcile import remove
from msas.song import probe
from rest.services import services

blueprint = Blueprint("separate", __name__)
_log = logging.getLogger("msas.rest")

_CALLBACK_BYTES = 64_000
_REASONS = {
    State.QUEUED: "Song already enqueued for separation",
    State.RUNNING: "Song is being separated",
    State.SUCCEEDED: "Song already separated",
}


@blueprint.post("/separate")
def separate() -> Response:
    """Take a song as JSON `{"mp3": "<base64>"}`; answer its hash, whether it is new or known."""
    fields = _json_object(_body())
    song = _song(fields)
    offered, default = services().offered_models()
    options = Options.from_fields(fields, offered, default)
    job = Job(songhash(song, options), options, song_name(fields.get("name")), _callback(fields))
    probe(io.BytesIO(song), services().settings.max_duration_minutes)

    created, state = _accept(job, song)
    if state is State.CANCELLED:
        raise BeingRemoved("The song is just being removed; send it again in a few seconds.")
    reason = "Song enqueued for separation" if created else _REASONS[state]
    log.event(_log, "song received", songhash=job.songhash, model=options.model, bytes=len(song), created=created)
    return jsonify(hash=job.songhash, reason=reason, status=state, model=options.model)


def _accept(job: Job, song: bytes) -> tuple[bool, State]:
    """Store the song and put its job into the queue, unless both are there; return whether it was new, and its state.

    The job's message is stored beside the song before Redis learns of it: from then on no job is lost, whatever
    Redis forgets.
    """
    queue, store = services().queue, services().store

    def keep() -> None:
        store.put_song(job.songhash, io.BytesIO(song), len(song))
        store.put_message(job.songhash, job.message())

    known = queue.status(job.songhash)
    if known and known.state is State.CANCELLED:
        return False, State.CANCELLED
    if known and known.state is State.SUCCEEDED and store.published(job.songhash) is None:
        remove(queue, store, job.songhash)  # its stems are gone, whoever took them
        known = None
    if known is None or known.state is State.FAILED:
        keep()
    created, state = queue.enqueue(job)
    if state in (State.QUEUED, State.RUNNING) and store.message(job.songhash) is None:
        keep()  # removed just now, or it had lost a stem
    return created, state


def _body() -> bytes:
    body = request.get_data(cache=False)
    request.stream.read(1)  # Werkzeug cuts a chunked body off at the limit, and says so only when asked for more
    return body


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise NotJson('The body is not JSON; send {"mp3": "<the song in base64>"}.') from None
    if not isinstance(content, dict):
        raise NotJson('The body is JSON, but no object; send {"mp3": "<the song in base64>"}.')
    return content


def _song(fields: dict[str, Any]) -> bytes:
    text = fields.pop("mp3", None)
    if text is None:
        raise MissingSong("The field 'mp3' is missing; put the song into it, in base64.")
    if not isinstance(text, str):
        raise BadBase64("The field 'mp3' is not a string; put the song into it, in base64.")
    try:
        song = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise BadBase64("The field 'mp3' is not base64; encode the song's bytes with the standard alphabet.") from None
    if not song:
        raise EmptySong("The song has no bytes at all; check the file, then send it again.")
    most = services().settings.max_upload_mb
    if len(song) > most * 1e6:
        raise TooLarge(f"The song has {len(song) / 1e6:.1f} MB; send one of at most {most} MB.")
    return song


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
