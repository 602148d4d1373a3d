"""POST /apiv1/links: links by which a browser downloads stems, ZIPs and mixes without a header."""

from __future__ import annotations

import time

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint

from msas.errors import BadOption
from rest.api.openapi import NEEDS_KEY, json_response, problem_responses
from rest.api.schemas import MOST_LINKS, LinksAnswer, list_request
from rest.middleware.auth import caller
from rest.middleware.link_signature import LINK_SECONDS, is_linkable, sign
from rest.services import services
from rest.uploads.receive import read_list

blueprint = APIBlueprint("links", __name__, abp_security=NEEDS_KEY)

_PATHS_ABOUT = "paths of stems (/apiv1/track/...), ZIPs (/apiv1/archive/...) and mixes (/apiv1/mix/...)"
_PATHS, _PATHS_BYTES = '{"paths": ["/apiv1/archive/<songhash>.zip", ...]}', 16_000


@blueprint.post(
    "/links",
    responses={200: LinksAnswer, **problem_responses(400, 413, 422)},
    openapi_extensions={"requestBody": list_request("paths", MOST_LINKS, _PATHS_ABOUT)},
)
def links() -> Response:
    """Make links to up to 50 stems, ZIPs and mixes: for ten minutes, GET and HEAD of each need no key in a header.

    A download that has begun goes on after that. Append a mix's query to its link. Where the service has no keys, the
    links are the paths.
    """
    made, name = _read_paths(), caller()
    if name:
        keys, expires = services().settings.keys(), int(time.time()) + LINK_SECONDS
        made = [sign(keys, name, path, expires) for path in made]
    return json_response(LinksAnswer(links=made))


def _read_paths() -> list[str]:
    """Return the paths that the request wants links to."""
    paths = read_list(request, "paths", _PATHS, MOST_LINKS, _PATHS_BYTES)
    if not all(map(is_linkable, paths)):
        raise BadOption(
            f"The field 'paths' must be a list of paths of stems, ZIPs and mixes, without a query; send {_PATHS}."
        )
    return paths
