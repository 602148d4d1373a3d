"""The contract, the answers and the client agree, and every call is answered as the contract says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

import msas_client
from local import Service
from msas.options import CHOICES, Options
from msas.settings import Settings
from rest.api.openapi import build_openapi
from rest.app import create_app
from tests.support.audio import RATE, true_waves, write

FEW, MANY = 50, 2_000  # calls of each route
# Bytes that were made up are no song, so what fits the contract is mostly refused, too; and what is no number of
# seconds to wait, or no option of ours, is let pass. Everything else must hold.
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
    checks.unsupported_method,
]
for kind in ("audio/mpeg", "audio/wav", "audio/flac"):
    schemathesis.openapi.media_type(kind, st.binary(max_size=2_000))


@pytest.fixture(scope="module")
def contract(service: Service) -> dict[str, Any]:
    found: dict[str, Any] = requests.get(f"{service.url}/apiv1/openapi.json", timeout=10).json()
    return found


@pytest.fixture(scope="module")
def real_song(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A song that is separated, and that some of the calls are about."""
    song = write(tmp_path_factory.mktemp("song") / "x.wav", true_waves()["mixture"][:, 3 * RATE : 3 * RATE + 9_000])
    with msas_client.Client(service.address) as client:
        answer = requests.post(
            f"{service.url}/apiv1/separate", data=song.read_bytes(), headers={"Content-Type": "audio/wav"}, timeout=20
        )
        client.wait(answer.json()["hash"], timeout=60)
        yield answer.json()["hash"]


schema = schemathesis.openapi.from_dict(build_openapi(create_app(Settings())))


def call(case: schemathesis.Case[Any], service: Service, real_song: str) -> None:
    """Make the call, every second time about the song that is separated, and compare the answer with the contract."""
    if case.method == "GET" and "songhash" in case.path_parameters and "remove" not in case.path and len(str(case)) % 2:
        case.path_parameters["songhash"] = real_song
    case.call_and_validate(base_url=service.url, checks=CHECKS, timeout=70)


@schema.parametrize()
@settings(max_examples=FEW, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_call_is_answered_as_the_contract_says(
    case: schemathesis.Case[Any], service: Service, real_song: str
) -> None:
    call(case, service, real_song)


@pytest.mark.long
@schema.parametrize()
@settings(max_examples=MANY, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
def test_thousands_of_calls_are_answered_as_the_contract_says(
    case: schemathesis.Case[Any], service: Service, real_song: str
) -> None:
    call(case, service, real_song)


def test_every_route_is_in_the_contract(contract: dict[str, Any]) -> None:
    served = {
        (rule.rule.replace("<", "{").replace(">", "}"), method.lower())
        for rule in create_app(Settings()).url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not rule.endpoint.startswith(("contract.", "page.asset"))
    }
    assert served == {(path, method) for path, found in contract["paths"].items() for method in found}


def test_every_error_response_of_the_contract_is_a_problem(contract: dict[str, Any]) -> None:
    for path, operations in contract["paths"].items():
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                kinds = set(answer.get("content", {}))
                assert (kinds == {"application/problem+json"}) == (int(status) >= 400), (path, status)


def test_the_contract_has_every_field_that_the_client_reads(contract: dict[str, Any]) -> None:
    renamed = {"songhash": "hash", "state": "status"}
    for kind, schema in ((msas_client.Status, "StatusAnswer"), (msas_client.Track, "TrackAnswer")):
        promised = contract["components"]["schemas"][schema]["properties"]
        assert {renamed.get(field.name, field.name) for field in fields(kind)} <= set(promised)


def test_the_contract_has_every_option(contract: dict[str, Any]) -> None:
    body = contract["paths"]["/apiv1/separate"]["post"]["requestBody"]["content"]
    known = {field.name for field in fields(Options)}
    assert set(CHOICES) | {"model"} == known
    for kind in ("application/json", "multipart/form-data"):
        assert known <= set(body[kind]["schema"]["properties"])


def test_the_docs_page_loads_nothing_from_other_hosts(service: Service) -> None:
    page = requests.get(f"{service.url}/docs", timeout=10)
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "//" not in page.text.replace("<!doctype html>", "")
    for path in ("/docs/js/swagger-ui-bundle.js", "/docs/css/swagger-ui.css", "/docs/start.js"):
        assert path in page.text
        assert requests.get(service.url + path, timeout=10).status_code == 200
    assert requests.get(f"{service.url}/docs/js/..%2f..%2fplugins.py", timeout=10).status_code == 404


def test_the_page_of_the_api_names_every_route(contract: dict[str, Any]) -> None:
    page = (Path(__file__).parents[2] / "docs/api.md").read_text()
    names = {
        "{songhash}": "<songhash>",
        "{track}": "<stem>",
        "{archive}": "<songhash>.zip",
        "{mix}": "<songhash>.<format>",
    }
    routes = [re.sub(r"{\w+}", lambda found: names[found[0]], path) for path in contract["paths"]]

    assert [route for route in routes if route not in page] == []
