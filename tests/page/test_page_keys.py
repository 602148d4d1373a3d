"""The page of a service that requires API keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, Locator

from local import Service
from rest.middleware.auth import FAILED_PER_MINUTE, key_digest
from tests.page.visit import Visit, visiting
from tests.support.another_rest import another_rest

KEY = "alices-key"
HEADERS = {"X-API-Key": KEY}


@pytest.fixture(scope="module")
def locked(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with another_rest(service, tmp_path_factory.mktemp("locked"), API_KEYS=f"alice:{key_digest(KEY)}") as url:
        yield url


def give(visit: Visit, key: str) -> None:
    visit.page.get_by_label("API key").fill(key)
    visit.press("Use this key")


def test_the_page_asks_for_a_key_when_others_at_its_address_made_too_many_calls_without_one(
    browser: Browser, service: Service, tmp_path: Path
) -> None:
    with another_rest(service, tmp_path, API_KEYS=f"alice:{key_digest(KEY)}") as url, visiting(browser, url) as visit:
        answers = [requests.get(f"{url}/apiv1/queue", timeout=20).status_code for _ in range(FAILED_PER_MINUTE + 1)]
        assert answers[-1] == 429

        visit.open()
        visit.until(lambda: visit.page.locator("#key").is_visible())
        give(visit, KEY)
        visit.wait_until_ready()
        visit.failed.clear()  # the browser itself logs each 429


def test_a_wrong_key_is_reported_and_the_right_one_accepted(browser: Browser, locked: str, short: Path) -> None:
    with visiting(browser, locked) as visit:
        visit.open()
        visit.until(lambda: visit.page.locator("#key").is_visible())
        assert "needs a key" in visit.page.locator("#key h2").inner_text()
        assert visit.axe_violations() == []
        give(visit, "alices\N{NON-BREAKING HYPHEN}key")
        visit.until(lambda: "can't be a key" in visit.page.locator("#key-reason").inner_text())
        give(visit, "mallorys-key")
        visit.until(lambda: "does not know this key" in visit.page.locator("#key-reason").inner_text())
        give(visit, KEY)
        visit.wait_until_ready()
        assert not visit.page.locator("#key").is_visible()
        visit.choose(short)
        visit.wait_until_done("short")
        visit.wait_for_waveform("vocals")
        visit.press("Play")
        visit.until(lambda: visit.position() > 0.2)
        visit.press("Forget the key")
        visit.until(lambda: visit.page.locator("#key").is_visible())
        visit.failed.clear()  # the browser itself logs each 401


@pytest.fixture
def admitted(browser: Browser, locked: str, short: Path) -> Iterator[Visit]:
    """The player of a song, on a page that has a good key."""
    with visiting(browser, locked) as visit:
        visit.open()
        give(visit, KEY)
        visit.wait_until_ready()
        visit.choose(short)
        visit.wait_until_done("short")
        visit.wait_for_waveform("vocals")
        visit.failed.clear()  # the browser itself logs the 401 before there was a key
        yield visit


@pytest.mark.parametrize(
    ("label", "path", "file_name", "use"),
    [
        ("Download Vocals", "track/{}/vocals.mp3", "short-vocals.mp3", Locator.click),
        ("All stems as ZIP", "archive/{}.zip", "short.zip", lambda link: link.press("Enter")),
    ],
    ids=["stem by mouse", "ZIP by keyboard"],
)
def test_the_browser_downloads_by_a_signed_link_and_the_page_holds_no_file(
    admitted: Visit, label: str, path: str, file_name: str, use: Callable[[Locator], None]
) -> None:
    url = f"{admitted.url}/apiv1/{path.format(admitted.songhash())}"

    with admitted.page.expect_download() as download:
        use(admitted.page.get_by_role("link", name=label))

    assert download.value.path().read_bytes() == requests.get(url, headers=HEADERS, timeout=20).content
    assert download.value.suggested_filename == file_name
    assert download.value.url.startswith(f"{url}?key=alice&expires=")  # a file that the page holds is at blob:


def test_a_mix_is_downloaded_by_a_signed_link_with_its_gains(admitted: Visit) -> None:
    admitted.press("Mute Vocals")

    with admitted.page.expect_download() as download:
        admitted.page.get_by_role("link", name="Download this mix").click()

    url = f"{admitted.url}/apiv1/mix/{admitted.songhash()}.mp3"
    mix = requests.get(url, params={"gains": "vocals:0"}, headers=HEADERS, timeout=20)
    assert download.value.path().read_bytes() == mix.content
    assert download.value.suggested_filename == "short-mix.mp3"
    assert download.value.url.startswith(f"{url}?key=alice&expires=")


def test_a_download_that_the_service_refuses_is_reported_in_the_player(admitted: Visit) -> None:
    admitted.page.evaluate("localStorage.setItem('msas.key', JSON.stringify('mallorys-key'))")

    admitted.page.get_by_role("link", name="Download Vocals").click()

    admitted.until(lambda: "needs a key" in admitted.page.locator(".player .error").inner_text())
    admitted.failed.clear()  # the browser itself logs the 401
