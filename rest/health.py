"""Is it alive, is it ready, and the line of text at `/`."""

from __future__ import annotations

from flask import Response
from flask_openapi3.blueprint import APIBlueprint

from rest.contract import answer, problems
from rest.schemas import Health
from rest.services import services

blueprint = APIBlueprint("health", __name__)

WELCOME = """MSaaS, Music Separation as a Service.
POST a song to /apiv1/separate, ask /apiv1/status/<songhash>, fetch /apiv1/track/<songhash>/<stem>.
"""


@blueprint.get(
    "/",
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **problems(inside=False)},
)
def index() -> Response:
    """Always 200: cloud load balancers ask for it."""
    return Response(WELCOME, content_type="text/plain; charset=utf-8")


@blueprint.get("/healthz", responses={200: Health, **problems(inside=False)})
def live() -> Response:
    """The process answers."""
    return answer(Health(status="live"))


@blueprint.get("/readyz", responses={200: Health, **problems(503, inside=False)})
def ready() -> Response:
    """Redis and the store answer; 503 with the reason where one does not."""
    services().queue.now()
    services().store.ready()
    return answer(Health(status="ready"))
