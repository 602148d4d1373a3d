"""The models on offer."""

from __future__ import annotations

from flask import Response
from flask_openapi3.blueprint import APIBlueprint

from rest.contract import NEEDS_KEY, answer, problems
from rest.schemas import ModelAnswer, ModelsAnswer
from rest.services import services

blueprint = APIBlueprint("models", __name__, abp_security=NEEDS_KEY)


@blueprint.get("/models", responses={200: ModelsAnswer, **problems()})
def models() -> Response:
    """List the models that the workers can run, the stems each yields, and the default; and how large a song may be."""
    offered, default = services().offered_models()
    found = [ModelAnswer(name=model.name, stems=list(model.stems), about=model.about) for model in offered]
    return answer(ModelsAnswer(models=found, default=default, max_upload_mb=services().settings.max_upload_mb))
