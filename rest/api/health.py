"""GET /healthz and /readyz: the probes of Kubernetes."""

from __future__ import annotations

from flask import Response
from flask_openapi3.blueprint import APIBlueprint

from msas.queue import ModelLoads
from rest.api.openapi import json_response, problem_responses
from rest.api.schemas import Health, LoadingAnswer
from rest.services import services

blueprint = APIBlueprint("health", __name__)


@blueprint.get("/healthz", responses={200: Health, **problem_responses(inside=False)})
def live() -> Response:
    """The process answers."""
    return json_response(Health(status="live", loading=[]))


@blueprint.get("/readyz", responses={200: Health, **problem_responses(503, inside=False)})
def ready() -> Response:
    """Redis and the store answer; 503 with the reason where one does not. What workers download stands beside it."""
    loading = [LoadingAnswer(**vars(load)) for load in ModelLoads(services().queue).read()]
    services().store.missing_buckets()  # raises where the store is away
    return json_response(Health(status="ready", loading=loading))
