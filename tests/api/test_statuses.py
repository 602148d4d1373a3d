"""POST /apiv1/status: the status of many songs in one response."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from local import Service
from msas_client import Client
from tests.support.another_rest import rest_with_own_queue
from tests.support.audio import RATE, true_waves, write
from tests.support.requests import problem, separate
from tests.support.rig import new_song

UNKNOWN = "0" * 56


@pytest.fixture(scope="module")
def finished(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The songhash of a separated song."""
    song = write(tmp_path_factory.mktemp("finished") / "x.wav", true_waves()["mixture"][:, RATE : RATE + 22_224])
    songhash = separate(client, song)
    yield songhash
    client.remove(songhash)


def ask(url: str, body: object) -> requests.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return requests.post(f"{url}/apiv1/status", data=content, timeout=60)


def ask_one(url: str, songhash: str) -> dict[str, Any]:
    found: dict[str, Any] = requests.get(f"{url}/apiv1/status/{songhash}", timeout=60).json()
    return found


def test_each_song_has_the_same_status_as_in_a_call_of_its_own(service: Service, finished: str, tmp_path: Path) -> None:
    with rest_with_own_queue(service, tmp_path) as (url, _):
        sent = [requests.post(f"{url}/apiv1/separate", files={"file": new_song()}, timeout=60) for _ in range(2)]
        queued = [answer.json()["hash"] for answer in sent]

        answer = ask(url, {"songs": [queued[1], queued[0]]})

        assert answer.json() == {"songs": [ask_one(url, queued[1]), ask_one(url, queued[0])], "unknown": []}
        assert [song["queue_position"] for song in answer.json()["songs"]] == [2, 1]
        for songhash in queued:
            requests.delete(f"{url}/apiv1/remove/{songhash}", timeout=60)

    assert ask(service.url, {"songs": [finished]}).json()["songs"] == [ask_one(service.url, finished)]


def test_unknown_and_malformed_songhashes_are_listed_as_unknown(service: Service, finished: str) -> None:
    answer = ask(service.url, {"songs": [UNKNOWN, finished, "", "x\n", finished.upper(), UNKNOWN]})

    assert answer.status_code == 200
    assert [song["hash"] for song in answer.json()["songs"]] == [finished]
    assert answer.json()["unknown"] == [UNKNOWN, "", "x\n", finished.upper()]


def test_half_of_a_letter_is_an_unknown_songhash(service: Service) -> None:
    answer = ask(service.url, b'{"songs": ["\\ud800"]}')

    assert (answer.status_code, answer.json()) == (200, {"songs": [], "unknown": ["?"]})


def test_five_hundred_songs_are_answered_and_one_more_is_refused_in_words(service: Service) -> None:
    songhashes = [f"{number:056x}" for number in range(501)]

    answered, refused = ask(service.url, {"songs": songhashes[:500]}), ask(service.url, {"songs": songhashes})

    assert answered.json() == {"songs": [], "unknown": songhashes[:500]}
    assert problem(refused) == (422, "bad_option")
    assert refused.json()["detail"] == "The field 'songs' has 501 entries; send at most 500 at once."


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", (400, "not_json")),
        (b"words", (400, "not_json")),
        (b"[]", (400, "not_json")),
        (b"[" * 60_000, (400, "not_json")),
        ({}, (422, "bad_option")),
        ({"songs": UNKNOWN}, (422, "bad_option")),
        ({"songs": [1]}, (422, "bad_option")),
        ({"songs": [None]}, (422, "bad_option")),
        ({"songs": [], "more": "x" * 64_000}, (413, "too_large")),
    ],
    ids=lambda given: str(given)[:20],
)
def test_a_body_that_is_no_list_of_songs_is_refused(service: Service, body: object, expected: tuple[int, str]) -> None:
    assert problem(ask(service.url, body)) == expected


def test_a_body_without_a_length_is_cut_off_where_it_is_too_large(service: Service) -> None:
    endless = (b" " * 10_000 for _ in range(1_000))

    answer = requests.post(f"{service.url}/apiv1/status", data=endless, timeout=60)

    assert problem(answer) == (413, "too_large")
    assert "500 songs" in answer.json()["detail"]
