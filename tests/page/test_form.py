"""Accessibility, small screens, the options, the size of the first load, caching of the page's files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser

from local import Service
from tests.page.visit import Visit, visiting
from tests.support.audio import RATE, true_waves, write
from tests.support.rig import stopped


def violations_in_both_themes(visit: Visit) -> list[str]:
    """Return what axe-core finds in the light theme, and which contrasts it finds too low in the dark one."""
    found = visit.axe_violations()
    visit.page.emulate_media(color_scheme="dark")
    found += visit.axe_violations("color-contrast")
    visit.page.emulate_media(color_scheme="light")
    return found


def test_axe_finds_nothing_serious_with_any_status(browser: Browser, service: Service, short: Path) -> None:
    with visiting(browser, service.url, color_scheme="light") as visit:
        visit.open()
        visit.wait_until_ready()
        visit.page.locator("#options summary").click()
        assert violations_in_both_themes(visit) == [], "empty, with options"
        broken = short.with_name("broken.mp3")
        broken.write_bytes(b"words" * 100)
        visit.choose(broken)
        visit.until(lambda: visit.status("broken") == "Refused")
        assert violations_in_both_themes(visit) == [], "refused"
        visit.choose(short)
        visit.wait_until_done("short")
        visit.wait_for_waveform("other")
        assert violations_in_both_themes(visit) == [], "player"
        visit.press("Mute Drums")
        visit.press("Remove", visit.item("short"))
        assert violations_in_both_themes(visit) == [], "a question"
        with stopped(service.children["worker"]):
            visit.choose(write(short.with_name("queued.wav"), true_waves()["mixture"][:, : RATE + 5]))
            visit.until(lambda: visit.status("queued").startswith("Queued"))
            assert violations_in_both_themes(visit) == [], "queued"
            visit.page.context.set_offline(True)
            visit.until(lambda: visit.page.locator("#notice").is_visible())
            assert violations_in_both_themes(visit) == [], "away"
            visit.page.context.set_offline(False)
            visit.until(lambda: not visit.page.locator("#notice").is_visible())
        visit.wait_until_done("queued")
        visit.failed.clear()


@pytest.mark.parametrize("width", [320, 390])
def test_on_a_phone_nothing_is_wider_than_the_screen(visit: Visit, short: Path, width: int) -> None:
    visit.page.set_viewport_size({"width": width, "height": 844})
    visit.page.locator("#options summary").click()
    visit.choose(short)
    visit.wait_until_done("short")
    visit.wait_for_waveform("other")
    visit.press("Loop, tempo and key")
    assert visit.page.get_by_label("Tempo, in percent").is_visible()
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    for each in visit.page.locator("button:visible, input:visible, a:visible").all():
        box = each.bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert box["height"] >= 23, each.inner_text()


def test_the_page_works_by_keyboard_alone(visit: Visit, short: Path) -> None:
    keys = visit.page.keyboard

    def tab_to(selector: str) -> None:
        for _ in range(60):
            keys.press("Tab")
            if visit.page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
        raise AssertionError(f"{selector} is never reached")

    # Listened for from the start: a page that isn't yet told to leave the choice to us opens nothing.
    visit.page.on("filechooser", lambda chooser: chooser.set_files(str(short)))
    tab_to("#choose")
    keys.press("Enter")
    visit.wait_until_done("short")
    visit.wait_for_waveform("other")
    visit.page.locator("body").evaluate("each => each.ownerDocument.activeElement.blur()")
    tab_to(".play")
    keys.press("Enter")
    visit.until(lambda: visit.position() > 0)
    keys.press("Enter")
    tab_to(".position")
    keys.press("ArrowRight")
    tab_to("[aria-label='Solo Bass']")
    keys.press("Space")
    assert visit.page.get_by_label("Solo Bass").get_attribute("aria-pressed") == "true"


def test_options_are_sent_and_remembered(visit: Visit, service: Service, short: Path) -> None:
    visit.page.locator("#options summary").click()
    visit.page.locator("#stems").wait_for()
    visit.page.get_by_label("drums").uncheck()
    visit.page.get_by_label("and what they leave").check()
    visit.page.locator("#format").select_option("flac 24")
    visit.choose(short)
    visit.wait_until_done("short")
    status = requests.get(f"{service.url}/apiv1/status/{visit.songhash()}", timeout=10).json()
    assert [track["name"] for track in status["tracks"]] == ["vocals", "bass", "other", "residual"]
    assert (status["options"]["format"], status["options"]["bit_depth"]) == ("flac", 24)
    visit.page.reload()
    visit.wait_until_ready()
    assert "FLAC, 24 bit" in visit.page.locator("#options-summary").inner_text()


def test_the_first_load_is_small(browser: Browser, service: Service) -> None:
    with visiting(browser, service.url) as visit:
        answers: list[Any] = []
        visit.page.on("requestfinished", lambda request: answers.append(request))
        visit.open()
        visit.wait_until_ready()
        sizes = [each.sizes() for each in answers]
        assert len(sizes) > 10
        assert sum(size["responseBodySize"] + size["responseHeadersSize"] for size in sizes) < 150_000


def test_files_are_cached_forever_under_hashed_names_and_the_page_is_not_cached(service: Service) -> None:
    browser = {"Accept": "text/html,*/*;q=0.8"}
    page = requests.get(service.url, headers=browser, timeout=10)
    assert page.headers["Content-Type"].startswith("text/html")
    assert page.headers["Cache-Control"] == "no-cache"
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    digest = page.text.partition("/page/")[2].partition("/")[0]
    kept = requests.get(f"{service.url}/page/{digest}/app.js", timeout=10)
    assert "immutable" in kept.headers["Cache-Control"]
    other = requests.get(f"{service.url}/page/0123/app.js", timeout=10)
    assert (other.content, other.headers["Cache-Control"]) == (kept.content, "no-cache")
    assert requests.get(f"{service.url}/page/{digest}/nothing.js", timeout=10).status_code == 404
    assert requests.get(service.url, timeout=10).text.startswith("MSaaS, Music Separation as a Service.")
