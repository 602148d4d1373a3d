"""A full queue: the page waits, and sends no file before there is room."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser

from local import Service
from tests.page.songs import short_unseen_song
from tests.page.visit import Visit, visiting
from tests.support.another_rest import remove_queued, rest_with_own_queue
from tests.support.audio import write
from tests.support.requests import ALICE, API_KEYS, BOB, KEYS
from tests.support.rig import new_song

FULL = "The queue is full; this song is sent when there is room"


@pytest.fixture
def pair(tmp_path: Path) -> list[Path]:
    return [write(tmp_path / f"{name}.wav", short_unseen_song()) for name in ("one", "two")]


@pytest.fixture(scope="module")
def small_rest(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    variables = {"API_KEYS": API_KEYS, "MAX_QUEUE": "2", "MAX_QUEUE_PER_KEY": "1"}
    with rest_with_own_queue(service, tmp_path_factory.mktemp("small"), **variables) as (url, _):
        yield url


@pytest.fixture
def small_service(small_rest: str) -> Iterator[str]:
    """The URL of a service without workers, whose empty queue takes two songs, one of each key."""
    yield small_rest
    for key in (ALICE, BOB):
        remove_queued(small_rest, key)


def send_both(visit: Visit, pair: list[Path]) -> None:
    """Send one song, then another, with Alice's key."""
    visit.page.add_init_script(f"localStorage.setItem('msas.key', JSON.stringify('{KEYS['alice']}'))")
    visit.open()
    visit.wait_until_ready()
    visit.choose(pair[0])
    visit.until(lambda: visit.status("one").startswith("Queued"))
    visit.choose(pair[1])


def test_a_file_is_sent_once_while_the_queue_is_full(browser: Browser, small_service: str, pair: list[Path]) -> None:
    headers = {"Content-Type": "audio/wav", **BOB}
    requests.post(f"{small_service}/apiv1/separate", data=new_song(), headers=headers, timeout=60).raise_for_status()
    with visiting(browser, small_service) as visit:
        visit.page.clock.install()
        sent, asked = visit.calls("/separate"), visit.calls("/models")
        send_both(visit, pair)
        visit.until(lambda: visit.status("two") == FULL)
        for count in (2, 3, 4):
            visit.page.clock.fast_forward(31_000)
            visit.until(lambda count=count: len(asked) == count)
            visit.until(lambda: visit.status("two") == FULL)
        assert len(sent) == 2
        assert not visit.item("two").locator(".error").is_visible()

        visit.press("Cancel", visit.item("one"))
        visit.until(lambda: visit.status("two").startswith("Queued"))
        assert len(sent) == 3
        visit.failed.clear()  # the browser itself logs the 503


def test_a_file_refused_by_the_limit_of_the_key_is_sent_when_a_song_has_ended(
    browser: Browser, small_service: str, pair: list[Path]
) -> None:
    with visiting(browser, small_service) as visit:
        sent = visit.calls("/separate")
        send_both(visit, pair)
        visit.until(lambda: visit.status("two") == "Not sent yet; trying again")
        assert "has reached its share of the queue" in visit.item("two").locator(".error").inner_text()
        assert len(sent) == 2

        visit.press("Cancel", visit.item("one"))
        visit.until(lambda: visit.status("two").startswith("Queued"), 15)  # before the minute that the service named
        assert len(sent) == 3
        visit.failed.clear()  # the browser itself logs the 429
