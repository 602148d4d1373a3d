"""Is it alive, is it ready, and the line of text at `/`."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from rest.services import services

blueprint = Blueprint("health", __name__)

WELCOME = """MSaaS, Music Separation as a Service.
POST a song to /apiv1/separate, ask /apiv1/status/<songhash>, fetch /apiv1/track/<songhash>/<stem>.
"""


@blueprint.get("/")
def index() -> Response:
    """Always 200: cloud load balancers ask for it."""
    return Response(WELCOME, content_type="text/plain; charset=utf-8")


@blueprint.get("/healthz")
def live() -> Response:
    """The process answers."""
    return jsonify(status="live")


@blueprint.get("/readyz")
def ready() -> Response:
    """Redis and the store answer; 503 with the reason where one does not."""
    services().queue.now()
    services().store.ready()
    return jsonify(status="ready")
