"""Keys: which calls need one, and how many calls each may make."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from local import Service
from msas.errors import TooMany
from msas.settings import Settings, SettingsError
from rest.app import create_app
from rest.middleware import auth
from rest.middleware.auth import FAILED_PER_MINUTE, OPEN, FailedCalls, key_digest
from tests.support.another_rest import another_rest
from tests.support.processes import eventually
from tests.support.requests import ALICE, API_KEYS, BOB, EVE, KEYS, problem

WRONG = {"X-API-Key": "mallorys-key"}


@pytest.fixture(scope="module")
def locked(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A REST that needs keys."""
    with another_rest(service, tmp_path_factory.mktemp("locked"), API_KEYS=API_KEYS, RATE_LIMIT="40/hour") as url:
        yield url


def test_every_route_is_on_the_open_list_or_refuses_without_a_key(locked: str) -> None:
    routes = [rule for rule in create_app(Settings()).url_map.iter_rules() if rule.endpoint not in OPEN]
    assert len(routes) > 8
    for rule in routes:
        path = rule.rule
        for argument in rule.arguments:
            path = path.replace(f"<{argument}>", "0" * 56)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            answer = requests.request(method, locked + path, timeout=10)
            assert problem(answer) == (401, "unauthorized"), (method, path)
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "path", ["/", "/healthz", "/readyz", "/metrics", "/docs", "/docs/start.js", "/apiv1/openapi.json"]
)
def test_an_open_path_answers_without_a_key(locked: str, path: str) -> None:
    assert requests.get(locked + path, timeout=10).status_code == 200


@pytest.mark.parametrize("headers", [ALICE, {"X-API-Key": KEYS["bob"]}, {"Authorization": f"bearer {KEYS['bob']}"}])
def test_a_key_is_accepted_in_both_headers(locked: str, headers: dict[str, str]) -> None:
    assert requests.get(f"{locked}/apiv1/queue", headers=headers, timeout=10).status_code == 200


@pytest.mark.parametrize(
    "key", ["", "alices-ke", "alices-key2", "ALICES-KEY", key_digest("alices-key"), "\xe4\xf6\xfc"]
)
def test_a_wrong_key_is_refused(locked: str, key: str) -> None:
    answer = requests.get(f"{locked}/apiv1/queue", headers={"X-API-Key": key.encode("latin-1")}, timeout=10)
    assert problem(answer) == (401, "unauthorized")


def test_a_key_over_its_rate_is_refused_with_retry_after_and_others_are_not(locked: str) -> None:
    answers = [requests.get(f"{locked}/apiv1/queue", headers=EVE, timeout=10) for _ in range(41)]

    assert {answer.status_code for answer in answers[:40]} == {200}
    assert problem(answers[40]) == (429, "too_many")
    assert 0 < int(answers[40].headers["Retry-After"]) <= 3601
    assert requests.get(f"{locked}/apiv1/queue", headers=BOB, timeout=10).status_code == 200


def test_an_address_with_many_calls_without_a_good_key_is_refused_and_no_good_key_nor_other_address_is(
    service: Service, tmp_path: Path
) -> None:
    with another_rest(service, tmp_path, API_KEYS=API_KEYS) as url:
        answers = [requests.get(f"{url}/apiv1/queue", headers=WRONG, timeout=10) for _ in range(FAILED_PER_MINUTE + 1)]
        good = [requests.get(f"{url}/apiv1/queue", headers=key, timeout=10).status_code for key in (ALICE, BOB)]
        page = requests.get(url, timeout=10).status_code
        elsewhere = status_from("127.0.0.2", url)

    assert {problem(answer) for answer in answers[:-1]} == {(401, "unauthorized")}
    assert problem(answers[-1]) == (429, "too_many")
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 61
    assert (good, page, elsewhere) == ([200, 200], 200, 401)


def status_from(address: str, url: str) -> int:
    """Return the status of a call without a key that comes from this address of the machine."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=10, source_address=(address, 0))
    connection.request("GET", "/apiv1/queue")
    status = connection.getresponse().status
    connection.close()
    return status


def test_calls_without_a_good_key_are_counted_anew_after_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "_MINUTE_SECONDS", 0.2)
    failed = FailedCalls()

    def is_refused(calls: int) -> bool:
        try:
            for _ in range(calls):
                failed.count("192.0.2.1")
        except TooMany:
            return True
        return False

    eventually(lambda: is_refused(FAILED_PER_MINUTE + 1))
    eventually(lambda: not is_refused(1))


def test_open_paths_have_no_rate_limit(locked: str) -> None:
    answers = [requests.get(f"{locked}/healthz", timeout=10) for _ in range(41)]

    assert {answer.status_code for answer in answers} == {200}


def test_a_new_key_is_printed_once_with_the_setting_that_admits_it() -> None:
    done = subprocess.run([sys.executable, "-m", "rest.keys", "carol"], capture_output=True, text=True, check=True)

    made = done.stdout.split("\n")
    key, line = made[0].rpartition(" ")[2], made[1]
    assert done.stderr == ""
    assert Settings.from_environment({"API_KEYS": line.removeprefix("API_KEYS=")}).keys() == {"carol": key_digest(key)}
    assert key not in line


@pytest.mark.parametrize("malformed", ["alice", "alice:1234", "al ice:" + "0" * 64, "alice:plain-key"])
def test_malformed_keys_are_refused_with_the_command_that_makes_some(malformed: str) -> None:
    with pytest.raises(SettingsError, match="python -m rest"):
        Settings.from_environment({"API_KEYS": malformed})
