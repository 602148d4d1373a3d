"""POST /apiv1/links: signed links by which a browser downloads without a key in a header."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from local import Service
from msas.queue import Queue
from msas.settings import Settings
from msas_client import Client
from rest.middleware.auth import key_digest
from rest.middleware.link_signature import LINK_SECONDS, sign
from tests.support.another_rest import another_rest
from tests.support.audio import RATE, true_waves, write
from tests.support.requests import ALICE, API_KEYS, BOB, EVE, KEYS, problem, separate

DIGESTS = Settings(api_keys=API_KEYS).keys()
UNKNOWN = "0" * 56


@pytest.fixture(scope="module")
def locked(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A REST that needs keys."""
    with another_rest(service, tmp_path_factory.mktemp("locked"), API_KEYS=API_KEYS) as url:
        yield url


@pytest.fixture(scope="module")
def finished(service: Service, client: Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The songhash of a separated song, which all keys own."""
    song = write(tmp_path_factory.mktemp("finished") / "x.wav", true_waves()["mixture"][:, RATE : RATE + 22_225])
    songhash = separate(client, song)
    Queue.from_settings(service.settings).add_owners(songhash, KEYS)
    yield songhash
    client.remove(songhash)


def ask(url: str, body: object, headers: dict[str, str] | None = None) -> requests.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return requests.post(f"{url}/apiv1/links", data=content, headers=headers, timeout=60)


def get_link(url: str, path: str, headers: dict[str, str] = ALICE) -> str:
    links: list[str] = ask(url, {"paths": [path]}, headers).json()["links"]
    return links[0]


def list_paths(songhash: str) -> list[str]:
    return [f"/apiv1/track/{songhash}/{name}" for name in ("vocals.mp3", "mixture")] + [
        f"/apiv1/archive/{songhash}.zip"
    ]


def test_linked_stems_mixtures_and_zips_are_downloaded_without_a_header(
    service: Service, locked: str, finished: str
) -> None:
    paths = list_paths(finished)

    links = ask(locked, {"paths": paths}, ALICE).json()["links"]

    assert [link.partition("?")[0] for link in links] == paths
    for path, link in zip(paths, links, strict=True):
        expected = requests.get(service.url + path, timeout=60)
        whole = requests.get(locked + link, timeout=60)
        part = requests.get(locked + link, headers={"Range": "bytes=100-"}, timeout=60)
        head = requests.head(locked + link, timeout=60)
        assert (whole.status_code, whole.content) == (200, expected.content)
        assert whole.headers["Content-Disposition"] == expected.headers["Content-Disposition"]
        assert (part.status_code, part.content) == (206, expected.content[100:])
        assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(expected.content)))


def test_link_expires_ten_minutes_after_it_was_made(locked: str) -> None:
    before = int(time.time())

    link = get_link(locked, list_paths(UNKNOWN)[0])

    expires = int(link.partition("&expires=")[2].partition("&")[0])
    assert before + LINK_SECONDS <= expires <= time.time() + LINK_SECONDS


def test_expired_link_is_refused(locked: str, finished: str) -> None:
    path, now = list_paths(finished)[0], int(time.time())

    answers = [requests.get(locked + sign(DIGESTS, "alice", path, expires), timeout=60) for expires in (now + 60, now)]

    assert answers[0].status_code == 200
    assert problem(answers[1]) == (401, "unauthorized")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("vocals.mp3", "bass.mp3"),
        ("vocals.mp3", "vocals.mp3/"),
        ("vocals.mp3", "vocals.mp3%0A"),
        ("/apiv1/track", "/apiv1/peaks"),
        ("/apiv1/track", "/apiv1/remove"),
        ("key=alice", "key=bob"),
        ("key=alice", "key=mallory"),
        ("key=alice", "key=%FF"),
        ("key=alice", "key=mallory&key=alice"),
        ("expires=", "expires=9"),
        ("expires=", "expires=%D9%A1"),
        ("signature=", "signature=0"),
        ("signature=", "signature=%FF"),
        ("signature=", "signature=&s="),
    ],
)
def test_altered_link_is_refused(locked: str, finished: str, old: str, new: str) -> None:
    link = get_link(locked, list_paths(finished)[0])
    assert old in link

    answer = requests.get(locked + link.replace(old, new), timeout=60)

    assert problem(answer) == (401, "unauthorized")


def test_link_to_one_song_does_not_open_another(locked: str, finished: str) -> None:
    link = get_link(locked, list_paths(UNKNOWN)[0])

    answers = [requests.get(locked + each, timeout=60) for each in (link, link.replace(UNKNOWN, finished))]

    assert [problem(answer) for answer in answers] == [(404, "unknown_song"), (401, "unauthorized")]


@pytest.mark.parametrize("method", ["POST", "DELETE", "OPTIONS", "PUT"])
def test_link_is_refused_with_another_method(locked: str, finished: str, method: str) -> None:
    link = get_link(locked, list_paths(finished)[0])

    answer = requests.request(method, locked + link, timeout=60)

    assert problem(answer) == (401, "unauthorized")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/apiv1/remove/{}/vocals.mp3"),
        ("DELETE", "/apiv1/remove/{}/vocals.mp3"),
        ("GET", "/apiv1/status/{}"),
        ("GET", "/apiv1/peaks/{}"),
        ("GET", "/apiv1/queue"),
        ("POST", "/apiv1/links"),
    ],
)
def test_signature_over_another_route_is_refused(locked: str, finished: str, method: str, path: str) -> None:
    link = sign(DIGESTS, "alice", path.format(finished), int(time.time()) + 60)

    answer = requests.request(method, locked + link, timeout=60)

    assert problem(answer) == (401, "unauthorized")


def test_links_of_removed_and_replaced_keys_are_refused_and_those_of_kept_ones_are_not(
    service: Service, locked: str, finished: str, tmp_path: Path
) -> None:
    links = [get_link(locked, list_paths(finished)[0], headers) for headers in (ALICE, EVE, BOB)]
    keys = f"bob:{DIGESTS['bob']},eve:{key_digest('another-key')}"

    with another_rest(service, tmp_path, API_KEYS=keys) as url:
        alice, eve, bob = (requests.get(url + link, timeout=60) for link in links)

    assert (problem(alice), problem(eve)) == ((401, "unauthorized"), (401, "unauthorized"))
    assert bob.status_code == 200


def test_calls_by_link_count_for_the_rate_limit_of_its_owner(service: Service, tmp_path: Path) -> None:
    with another_rest(service, tmp_path, API_KEYS=API_KEYS, RATE_LIMIT="3/hour") as url:
        path = list_paths(UNKNOWN)[0]
        link, other = get_link(url, path, EVE), get_link(url, path, BOB)

        answers = [requests.get(url + link, timeout=60).status_code for _ in range(3)]
        refused = [requests.get(url + link, timeout=60), requests.get(url + path, headers=EVE, timeout=60)]

        assert answers == [404] * 3
        assert [problem(answer) for answer in refused] == [(429, "too_many")] * 2
        assert "'eve'" in refused[0].json()["detail"]
        assert requests.get(url + other, timeout=60).status_code == 404


def test_good_key_is_accepted_beside_an_expired_link(locked: str, finished: str) -> None:
    link = sign(DIGESTS, "bob", list_paths(finished)[0], 1)

    assert requests.get(locked + link, headers={"X-API-Key": KEYS["alice"]}, timeout=60).status_code == 200


def test_links_of_a_service_without_keys_are_the_paths(service: Service, finished: str) -> None:
    paths = list_paths(finished)

    assert ask(service.url, {"paths": paths}).json() == {"links": paths}


def test_fifty_links_are_made_and_one_more_is_refused_in_words(service: Service) -> None:
    paths = [f"/apiv1/archive/{number:056x}.zip" for number in range(51)]

    made, refused = ask(service.url, {"paths": paths[:50]}), ask(service.url, {"paths": paths})

    assert made.json() == {"links": paths[:50]}
    assert problem(refused) == (422, "bad_option")
    assert refused.json()["detail"] == "The field 'paths' has 51 entries; send at most 50 at once."


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", (400, "not_json")),
        (b"[]", (400, "not_json")),
        ({}, (422, "bad_option")),
        ({"paths": f"/apiv1/archive/{UNKNOWN}.zip"}, (422, "bad_option")),
        ({"paths": [1]}, (422, "bad_option")),
        ({"paths": [f"/apiv1/archive/{UNKNOWN}.zip\n"]}, (422, "bad_option")),
        ({"paths": [f"/apiv1/track/{UNKNOWN}/vocals.mp3?x=1"]}, (422, "bad_option")),
        ({"paths": [f"/apiv1/remove/{UNKNOWN}/vocals.mp3"]}, (422, "bad_option")),
        ({"paths": [f"https://example.org/apiv1/archive/{UNKNOWN}.zip"]}, (422, "bad_option")),
        ({"paths": [], "more": "x" * 16_000}, (413, "too_large")),
    ],
    ids=lambda given: str(given)[:40],
)
def test_body_that_is_no_list_of_paths_is_refused(service: Service, body: object, expected: tuple[int, str]) -> None:
    assert problem(ask(service.url, body)) == expected
