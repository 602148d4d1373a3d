"""GET /apiv1/models: lists the models that the workers offer, and says whether a new song would be accepted."""

from __future__ import annotations

from flask import Response
from flask_openapi3.blueprint import APIBlueprint

from msas.queue import Bounds, ModelSpeeds
from rest.api.openapi import NEEDS_KEY, json_response, problem_responses
from rest.api.schemas import ModelAnswer, ModelsAnswer
from rest.middleware.auth import caller
from rest.services import read_offer, services

blueprint = APIBlueprint("models", __name__, abp_security=NEEDS_KEY)


@blueprint.get("/models", responses={200: ModelsAnswer, **problem_responses()})
def models() -> Response:
    """List the models that the workers can run, with their stems, licences and speeds, and the default.

    Beside them: how large a song may be, and whether the queue and the store have room for one more.
    """
    queue = services().queue
    offer = queue.advertised_models() or {}
    offered, default = read_offer(offer or None)
    cached, seconds = set(offer.get("cached", ())), ModelSpeeds(queue).read(offer.get("device", ""))
    found = [
        ModelAnswer(
            **{**vars(model), "stems": list(model.stems)},
            cached=model.name in cached,
            seconds_per_minute=seconds.get(model.name),
        )
        for model in offered
    ]
    settings = services().settings
    room = services().store_space.has_room() and queue.has_room(caller(), Bounds.from_settings(settings))
    return json_response(ModelsAnswer(models=found, default=default, max_upload_mb=settings.max_upload_mb, room=room))
