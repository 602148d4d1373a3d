"""The models on offer."""

from __future__ import annotations

from dataclasses import asdict

from flask import Blueprint, Response, jsonify

from rest.services import services

blueprint = Blueprint("models", __name__)


@blueprint.get("/models")
def models() -> Response:
    """List the models that the workers can run, the stems each yields, and the default."""
    offered, default = services().offered_models()
    return jsonify(models=[asdict(model) for model in offered], default=default)
