"""What the page stores in the browser: with several tabs, after reloads, and where the browser stores nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from local import Service
from tests.page.songs import unseen_song
from tests.page.visit import Visit, visiting
from tests.support.audio import RATE, true_waves, write
from tests.support.rest_process import rest_stopped
from tests.support.rig import stopped

_EACH = 'for (const name of ["msas.song.x", "msas.options", "msas.key"])'
STORAGE = {
    "forbidden": """Object.defineProperty(window, "localStorage", {
      get() { throw new DOMException("It is forbidden.", "SecurityError"); },
    })""",
    "full": """Storage.prototype.setItem = () => { throw new DOMException("It is full.", "QuotaExceededError"); }""",
    "odd": """["1", "null", "[null]", '"x"'].forEach((odd) => localStorage.setItem(`msas.song.${odd}`, odd))""",
    "of another make": f"""{_EACH} localStorage.setItem(name, '{{"a": 1}}')""",
    "broken": f"""{_EACH} localStorage.setItem(name, "{{")""",
}


@pytest.fixture
def pair(tmp_path: Path) -> list[Path]:
    return [
        write(tmp_path / f"{name}.wav", unseen_song(true_waves()["mixture"][:, RATE : RATE + RATE // 4]))
        for name in ("one", "two")
    ]


def test_two_tabs_share_one_list(visit: Visit, pair: list[Path]) -> None:
    other = Visit(visit.page.context.new_page(), visit.url)
    other.open()
    other.wait_until_ready()
    visit.choose(pair[0])
    other.choose(pair[1])
    for tab in (visit, other):
        tab.wait_until_done("one")
        tab.wait_until_done("two")
    visit.page.reload()
    visit.wait_until_done("one")
    visit.wait_until_done("two")
    visit.press("Remove", visit.item("one"))
    visit.press("From this list")
    other.until(lambda: other.item("one").count() == 0)
    other.page.reload()
    other.wait_until_done("two")
    assert other.item("one").count() == 0
    assert (other.errors, other.failed) == ([], [])


def test_a_song_sent_again_in_one_tab_is_updated_in_all(visit: Visit, service: Service, pair: list[Path]) -> None:
    with stopped(service.children["worker"]):
        visit.choose(pair[0])
        visit.until(lambda: visit.status("one").startswith("Queued"))
        visit.press("Cancel")
        visit.until(lambda: visit.status("one") == "Cancelled")
        other = Visit(visit.page.context.new_page(), visit.url)
        other.open()
        other.wait_until_ready()
        assert other.status("one") == "Cancelled"
    visit.press("Retry")
    visit.wait_until_done("one")
    other.wait_until_done("one")
    other.choose(pair[1])
    other.wait_until_done("two")
    visit.page.reload()
    visit.wait_until_done("one")
    assert (other.errors, other.failed) == ([], [])
    visit.failed.clear()  # the browser itself may complain of the call that was in flight when the song was cancelled


def test_no_tab_removes_a_song_that_another_is_sending(visit: Visit, service: Service, pair: list[Path]) -> None:
    other = Visit(visit.page.context.new_page(), visit.url)
    other.open()
    other.wait_until_ready()
    with rest_stopped(service):
        visit.choose(pair[0])
        visit.until(lambda: visit.status("one") == "Sent; being checked")
        other.until(lambda: other.status("one") == "Not sent")
        other.press("Remove")
        other.until(lambda: other.item("one").count() == 0)
    visit.wait_until_done("one")
    visit.page.reload()
    visit.wait_until_done("one")
    assert (other.errors, other.failed) == ([], [])


@pytest.mark.parametrize("storage", STORAGE)
def test_the_page_works_with_any_content_of_local_storage(
    browser: Browser, service: Service, short: Path, storage: str
) -> None:
    with visiting(browser, service.url) as visit:
        visit.page.add_init_script(STORAGE[storage])
        visit.open()
        visit.wait_until_ready()
        visit.choose(short)
        visit.wait_until_done("short")
        visit.wait_for_waveform("other")


def test_refused_and_cancelled_songs_stay_so_after_a_reload(visit: Visit, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp3"
    broken.write_bytes(b"These are words." * 90)
    visit.choose(broken)
    visit.until(lambda: visit.status("broken") == "Refused")
    message = visit.item("broken").locator(".error").inner_text()
    visit.page.reload()
    visit.wait_until_ready()
    assert (visit.status("broken"), visit.item("broken").locator(".error").inner_text()) == ("Refused", message)
    visit.failed.clear()  # the browser itself logs the 415


def test_only_an_explicitly_chosen_model_is_remembered(visit: Visit) -> None:
    kept = "JSON.parse(localStorage.getItem('msas.options'))"
    assert visit.page.evaluate(kept) is None
    visit.page.locator("#options summary").click()
    visit.page.get_by_label("and what they leave").check()
    assert (visit.page.evaluate(kept)["model"], visit.page.evaluate(kept)["stems"]) == (None, None)
    visit.page.reload()
    visit.wait_until_ready()
    visit.page.locator("#options summary").click()
    assert visit.page.get_by_label("and what they leave").is_checked()
    for stem in ("vocals", "drums", "bass"):
        visit.page.get_by_label(stem).uncheck()
    visit.page.get_by_label("other").click()
    assert visit.page.get_by_label("other").is_checked(), "one stem it must be"
    visit.page.locator("#model").select_option("small")
    assert visit.page.evaluate(kept)["model"] == "small"


def test_screen_readers_announce_changes_only(visit: Visit, pair: list[Path]) -> None:
    def aloud() -> str:
        return visit.page.locator("#announcement").inner_text()

    visit.choose(pair[0])
    visit.wait_until_done("one")
    assert aloud() == "one.wav: Done, with lite."
    visit.page.reload()
    visit.wait_until_done("one")
    assert aloud() == ""
    assert visit.page.locator(".player").count() == 0, "nobody asked for it in this visit"


def test_focus_moves_to_a_neighbour_when_a_song_is_removed(visit: Visit, pair: list[Path]) -> None:
    visit.choose(*pair)
    visit.wait_until_done("one")
    visit.wait_until_done("two")
    keys = visit.page.keyboard
    for _, neighbour in ((visit.item("one"), "two"), (visit.item("two"), "Choose songs")):
        visit.page.locator(".song").first.get_by_role("button", name="Remove").focus()
        keys.press("Enter")
        visit.until(lambda: visit.focused() == "From this list")
        keys.press("Enter")
        expected = "Listen" if neighbour == "two" else neighbour
        visit.until(lambda expected=expected: visit.focused() in (expected, "Close"), 5)
