"""GET /apiv1/openapi.json and /docs: the API's description and its page; and helpers that describe responses."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, cast

from flask import Response, current_app, jsonify, send_from_directory
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.info import Info
from flask_openapi3.models.security_scheme import SecurityScheme
from flask_openapi3.openapi import OpenAPI
from pydantic import BaseModel

from rest.api.schemas import ProblemAnswer

INFO = Info(
    title="MSaaS",
    version="1",
    description="Music Separation as a Service: post a song, ask for its status, fetch its stems.",
)
SECURITY: dict[str, Any] = {
    "bearer": SecurityScheme(type="http", scheme="bearer"),
    "key": SecurityScheme.model_validate({"type": "apiKey", "in": "header", "name": "X-API-Key"}),
}
NEEDS_KEY: list[dict[str, list[str]]] = [{}, {"bearer": []}, {"key": []}]  # {}: where the service has no keys

_ANYWHERE = (401, 403, 414, 421, 429, 500, 503)
_ASSETS = files("flask_openapi3_swagger") / "templates" / "swagger"
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>MSaaS: the API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/docs/css/swagger-ui.css"></head>
<body><div id="contract"></div>
<script src="/docs/js/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script></body></html>
"""
_START = 'SwaggerUIBundle({ url: "/apiv1/openapi.json", dom_id: "#contract", deepLinking: true });\n'
DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'"
)

blueprint = APIBlueprint("contract", __name__, doc_ui=False)


def problem_responses(*codes: int, inside: bool = True) -> dict[int | str, Any]:
    """Return the answers for `codes` as problems; `inside` the API, with those that any call may meet."""
    schema = {"schema": {"$ref": f"#/components/schemas/{ProblemAnswer.__name__}"}}
    every = {*codes, *(_ANYWHERE if inside else (500,))}
    return {code: {"content": {"application/problem+json": schema}} for code in sorted(every)}


def binary_response(*kinds: str) -> dict[str, Any]:
    """Return an answer of bytes, of one of the media types `kinds`."""
    return {"content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in kinds}}


def json_response(content: BaseModel) -> Response:
    """Send `content` as JSON."""
    return jsonify(content.model_dump(mode="json"))


class AssetPath(BaseModel):
    folder: str
    name: str


@blueprint.get("/apiv1/openapi.json")
def openapi() -> Response:
    """The contract, as OpenAPI 3.1."""
    return jsonify(build_openapi(cast(OpenAPI, current_app)))


def build_openapi(app: OpenAPI) -> dict[str, Any]:
    """Return the contract of `app`'s routes."""
    description: dict[str, Any] = app.api_doc
    for operations in description["paths"].values():
        for operation in operations.values():
            # The extension adds a 422 of its own everywhere; ours are problems, and only where they can be met.
            if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                del operation["responses"]["422"]
    return description


@blueprint.get("/docs")
def docs() -> Response:
    """The contract, as a page."""
    return _page(Response(_PAGE, content_type="text/html; charset=utf-8"))


@blueprint.get("/docs/start.js")
def start() -> Response:
    """What fills the page."""
    return Response(_START, content_type="text/javascript; charset=utf-8")


@blueprint.get("/docs/<any(css,js):folder>/<name>")
def asset(path: AssetPath) -> Response:
    """Swagger UI's own files."""
    return _page(send_from_directory(str(_ASSETS / path.folder), path.name, max_age=86_400))


def _page(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = DOCS_POLICY
    return response
