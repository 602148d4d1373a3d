"""Songs belong to the keys that sent them: others learn nothing of them, and cannot remove them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import requests

from local import Service
from msas.queue import Consumer, Queue, connect
from msas.queue.connection import connect_blocking
from msas.settings import Settings, SettingsError
from msas.store import Store
from tests.queue.fixtures import ERROR, claim_job, report
from tests.support.another_rest import remove_queued, rest_with_own_queue
from tests.support.offers import advertise_models
from tests.support.reconcile import reconcile
from tests.support.requests import ALICE, API_KEYS, BOB, EVE, problem
from tests.support.rig import new_song

CALLS = [
    ("GET", "/apiv1/status/{}"),
    ("GET", "/apiv1/track/{}/vocals"),
    ("HEAD", "/apiv1/track/{}/vocals"),
    ("GET", "/apiv1/archive/{}.zip"),
    ("GET", "/apiv1/peaks/{}"),
    ("POST", "/apiv1/retry/{}"),
    ("GET", "/apiv1/remove/{}/vocals"),
    ("DELETE", "/apiv1/remove/{}/vocals"),
    ("DELETE", "/apiv1/remove/{}"),
]


@pytest.fixture(scope="module")
def keyed(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Settings]]:
    """A REST that no worker serves; Alice and Bob have keys, Eve's is an admin's."""
    folder = tmp_path_factory.mktemp("keyed")
    with rest_with_own_queue(service, folder, API_KEYS=API_KEYS, ADMIN_KEYS="eve") as found:
        yield found


@pytest.fixture
def url(keyed: tuple[str, Settings]) -> Iterator[str]:
    yield keyed[0]
    remove_queued(keyed[0], EVE)


def send(url: str, key: Mapping[str, str], song: bytes | None = None) -> str:
    headers = {"Content-Type": "audio/wav", **key}
    answer = requests.post(f"{url}/apiv1/separate", data=song or new_song(), headers=headers, timeout=60)
    answer.raise_for_status()
    return str(answer.json()["hash"])


def call(url: str, method: str, path: str, key: Mapping[str, str], **more: Any) -> requests.Response:
    return requests.request(method, f"{url}{path}", headers=key, timeout=60, **more)


def status(url: str, songhash: str, key: Mapping[str, str]) -> int:
    return call(url, "GET", f"/apiv1/status/{songhash}", key).status_code


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_a_song_of_another_key_is_unknown(url: str, method: str, path: str) -> None:
    songhash = send(url, ALICE)

    answer = call(url, method, path.format(songhash), BOB)

    assert answer.status_code == 404
    assert method == "HEAD" or answer.json()["code"] == "unknown_song"
    assert status(url, songhash, ALICE) == 200


def test_the_queue_and_many_statuses_show_a_key_its_own_songs_and_an_admin_all(url: str) -> None:
    of_alice, of_bob = send(url, ALICE), send(url, BOB)

    queues = [call(url, "GET", "/apiv1/queue", key).json()["queue"] for key in (ALICE, BOB, EVE)]
    both = call(url, "POST", "/apiv1/status", BOB, json={"songs": [of_alice, of_bob]}).json()

    assert queues[:2] == [[of_alice], [of_bob]]
    assert set(queues[2]) == {of_alice, of_bob}
    assert [song["hash"] for song in both["songs"]] == [of_bob]
    assert both["unknown"] == [of_alice]


def test_two_keys_share_one_separation_and_neither_takes_it_from_the_other(
    url: str, keyed: tuple[str, Settings]
) -> None:
    song = new_song()
    first, second = send(url, ALICE, song), send(url, BOB, song)
    queue = Queue.from_settings(keyed[1])

    removed = call(url, "DELETE", f"/apiv1/remove/{first}", ALICE)

    assert first == second
    assert removed.status_code == 200
    assert [status(url, first, key) for key in (ALICE, BOB)] == [404, 200]
    assert queue.list_all_jobs()[0] == [first], "it still waits, once"

    call(url, "DELETE", f"/apiv1/remove/{first}", BOB).raise_for_status()

    assert status(url, first, EVE) == 404
    assert queue.list_all_jobs()[0] == []


def test_an_admin_removes_a_song_of_all_its_owners(url: str) -> None:
    song = new_song()
    songhash = send(url, ALICE, song)
    send(url, BOB, song)

    call(url, "DELETE", f"/apiv1/remove/{songhash}", EVE).raise_for_status()

    assert [status(url, songhash, key) for key in (ALICE, BOB, EVE)] == [404, 404, 404]


def test_a_key_that_sends_a_failed_song_again_shares_it_with_its_first_owner(
    url: str, keyed: tuple[str, Settings]
) -> None:
    song = new_song()
    songhash = send(url, ALICE, song)
    settings = keyed[1]
    claim_job(Consumer(connect(settings), connect_blocking(settings), settings)).fail(ERROR)

    send(url, BOB, song)

    assert [status(url, songhash, key) for key in (ALICE, BOB)] == [200, 200]


def test_owners_survive_a_redis_that_lost_everything(url: str, keyed: tuple[str, Settings]) -> None:
    song = new_song()
    songhash = send(url, ALICE, song)
    send(url, BOB, song)
    queue, store = Queue.from_settings(keyed[1]), Store.from_settings(keyed[1])
    offered = queue.advertised_models()
    for key in queue.redis.scan_iter(f"*{queue.name}*"):
        queue.redis.delete(key)

    advertise_models(queue, offered)
    reconcile(queue, store)

    assert [status(url, songhash, key) for key in (ALICE, BOB)] == [200, 200]


def test_an_admin_that_has_no_key_is_an_error() -> None:
    with pytest.raises(SettingsError, match="ADMIN_KEYS"):
        Settings(api_keys=API_KEYS, admin_keys="mallory")


def test_a_stem_of_a_shared_song_stays(url: str, keyed: tuple[str, Settings]) -> None:
    songhash = finished_song_of_both(url, keyed[1])

    answer = call(url, "DELETE", f"/apiv1/remove/{songhash}/vocals", ALICE)

    assert problem(answer) == (409, "shared_song")
    Store.from_settings(keyed[1]).remove_song(songhash)


def finished_song_of_both(url: str, settings: Settings) -> str:
    """Return the songhash of a song that Alice and Bob sent, and that has succeeded."""
    song = new_song()
    songhash = send(url, ALICE, song)
    send(url, BOB, song)
    lease = claim_job(Consumer(connect(settings), connect_blocking(settings), settings))
    Store.from_settings(settings).put_report(replace(report(), songhash=songhash))
    lease.succeed()
    return songhash
