"""Without keys: REST answers only to its own names, and no web page of another origin changes anything."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from local import Service
from msas.job import compute_songhash
from msas.options import Options
from tests.support.another_rest import another_rest
from tests.support.requests import ALICE, API_KEYS, as_json, new_song, problem

OTHER_PAGES = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
]


def queue(url: str, host: str) -> requests.Response:
    return requests.get(f"{url}/apiv1/queue", headers={"Host": host}, timeout=30)


@pytest.mark.parametrize(
    "host",
    [
        "localhost:5000",
        "LOCALHOST",
        "msas.localhost",
        "127.0.0.1:5000",
        "192.168.1.7",
        "[::1]:5000",
        "studio",
        "studio.local:5000",
        "rest-service",
        "rest-service.msas",
        "rest-service.msas.svc",
        "rest-service.msas.svc.cluster.local:5000",
    ],
)
def test_a_call_to_a_name_of_this_machine_or_its_cluster_is_answered(service: Service, host: str) -> None:
    assert queue(service.url, host).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:5000", "localhost.evil.example", "127.0.0.1.evil.example", "xlocal.host", "[::1"],
)
def test_a_call_to_any_other_name_is_refused(service: Service, host: str) -> None:
    assert problem(queue(service.url, host)) == (421, "unknown_host")


@pytest.fixture(scope="module")
def trusting(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("trusting")
    with another_rest(service, folder, TRUSTED_HOSTS="music.example, .studio.example") as url:
        yield url


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("music.example", 200),
        ("Music.Example:443", 200),
        ("a.studio.example", 200),
        ("a.music.example", 421),
        ("example", 200),
    ],
)
def test_trusted_hosts_are_answered_and_a_dot_in_front_stands_for_all_below(
    trusting: str, host: str, status: int
) -> None:
    assert queue(trusting, host).status_code == status


def test_with_keys_every_name_is_answered(service: Service, tmp_path: Path) -> None:
    with another_rest(service, tmp_path, API_KEYS=API_KEYS) as url:
        answer = requests.get(f"{url}/apiv1/queue", headers={"Host": "music.example", **ALICE}, timeout=30)

    assert answer.status_code == 200


@pytest.mark.parametrize("headers", OTHER_PAGES, ids=str)
def test_a_song_that_a_page_of_another_origin_sends_is_refused(
    service: Service, tmp_path: Path, headers: dict[str, str]
) -> None:
    song = new_song(tmp_path, 0.61)

    answer = requests.post(f"{service.url}/apiv1/separate", json=as_json(song), headers=headers, timeout=30)

    assert problem(answer) == (403, "cross_site")
    identity = compute_songhash(io.BytesIO(song), Options(model="lite"))
    assert requests.get(f"{service.url}/apiv1/status/{identity}", timeout=30).status_code == 404


@pytest.mark.parametrize("headers", OTHER_PAGES, ids=str)
@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_a_stem_that_a_page_of_another_origin_removes_stays(
    service: Service, method: str, headers: dict[str, str]
) -> None:
    url = f"{service.url}/apiv1/remove/{'0' * 56}/vocals"

    assert requests.request(method, url, headers=headers, timeout=30).status_code == 403


def test_our_own_page_and_scripts_may_change_something(service: Service) -> None:
    ours = [
        {},
        {"Sec-Fetch-Site": "same-origin", "Origin": service.url},
        {"Sec-Fetch-Site": "none"},
        {"Origin": service.url},
    ]

    for headers in ours:
        answer = requests.delete(f"{service.url}/apiv1/remove/{'0' * 56}", headers=headers, timeout=30)
        assert problem(answer) == (404, "unknown_song"), headers


def test_a_page_of_another_origin_may_link_to_ours(service: Service) -> None:
    answer = requests.get(service.url, headers={"Sec-Fetch-Site": "cross-site", "Accept": "text/html"}, timeout=30)

    assert answer.status_code == 200
