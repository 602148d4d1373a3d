"""The list of songs: from the drop to the stems, with reloads, restarts of the service, and errors."""

from __future__ import annotations

import io
import os
import re
import signal
from pathlib import Path

import requests
from playwright.sync_api import Browser

from local import Service
from msas.store import Store
from tests.page.visit import Visit, visiting
from tests.support.audio import RATE, true_waves, write
from tests.support.rig import stopped

STEMS = ("vocals", "drums", "bass", "other")


def test_a_dropped_song_goes_through_its_stages_to_a_player_with_four_waveforms(visit: Visit, song: Path) -> None:
    name = song.stem
    visit.page.locator("#options summary").click()
    visit.page.locator("#format").select_option("mp3 192")  # as no other test has it
    visit.drop(song)
    visit.wait_until_done(name)
    shown = " / ".join(visit.statuses())
    assert re.search("Sending.*(Fetching|Decoding|Separating|Encoding|Storing).*Done, with", shown)
    for stem in STEMS:
        visit.wait_for_waveform(stem)


def test_downloads_are_the_bytes_of_the_api(visit: Visit, service: Service, short: Path) -> None:
    visit.choose(short)
    visit.wait_until_done("short")
    player = visit.page.locator(".player")
    player.locator("canvas").first.wait_for()
    for label, path in (("Download Bass", "track/{}/bass.mp3"), ("All stems as ZIP", "archive/{}.zip")):
        with visit.page.expect_download() as download:
            player.get_by_role("link", name=label).click()
        expected = requests.get(f"{service.url}/apiv1/{path.format(visit.songhash())}", timeout=20).content
        assert download.value.path().read_bytes() == expected


def test_a_reload_during_the_separation_shows_the_song_again(visit: Visit, long: Path) -> None:
    visit.choose(long)
    visit.until(lambda: visit.status("long").startswith("Separating"))
    visit.page.reload()
    visit.until(lambda: visit.status("long").startswith("Separating"))
    assert 0 < visit.page.locator("progress").evaluate("each => each.value") < 1
    visit.press("Cancel")
    visit.until(lambda: visit.status("long") == "Cancelled")


def test_cancel_removes_a_song_from_the_service_and_the_list(visit: Visit, service: Service, long: Path) -> None:
    visit.choose(long)
    visit.until(lambda: visit.status("long").startswith("Separating"))
    songhash = visit.songhash()
    visit.press("Cancel")
    visit.until(lambda: visit.status("long") == "Cancelled")
    found = requests.get(f"{service.url}/apiv1/status/{songhash}", timeout=10).json()
    assert (found["status"], found["tracks"]) == ("cancelled", [])
    visit.press("Remove")
    visit.until(lambda: visit.page.locator(".song").count() == 0)


def test_a_file_without_audio_shows_the_message_of_the_api(visit: Visit, service: Service, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp3"
    broken.write_bytes(b"These are words." * 100)
    visit.choose(broken)
    visit.until(lambda: visit.status("broken") == "Refused")
    told = requests.post(
        f"{service.url}/apiv1/separate", data=broken.read_bytes(), headers={"Content-Type": "audio/mpeg"}, timeout=20
    ).json()["detail"]
    assert visit.item("broken").locator(".error").inner_text() == told
    visit.press("Retry")
    visit.until(lambda: visit.statuses().count("Refused") > 1)
    visit.failed.clear()  # the browser itself logs each 415


def test_two_songs_at_once_are_both_done_and_keep_their_order(visit: Visit, short: Path, song: Path) -> None:
    sent: list[str] = []
    visit.page.on("request", lambda request: sent.append(request.url) if "separate" in request.url else None)
    visit.choose(short, song)
    visit.wait_until_done("short")
    visit.wait_until_done(song.stem)
    assert visit.page.locator("h3").all_inner_texts() == ["short.wav", song.name]
    assert ["short" in url for url in sent] == [True, False]


def test_the_page_continues_after_a_restart_of_the_service(visit: Visit, service: Service, tmp_path: Path) -> None:
    song = write(tmp_path / "third.wav", true_waves()["mixture"][:, : 2 * RATE])
    with stopped(service.children["worker"]):  # so that it waits for as long as this takes
        visit.choose(song)
        visit.until(lambda: visit.status("third").startswith("Queued"))
        try:
            os.killpg(service.children["rest"].process.pid, signal.SIGKILL)  # the processes that serve, too
            visit.until(lambda: visit.page.locator("#notice").is_visible())
        finally:
            service.children["rest"].start()
    assert "can't be reached" in visit.page.locator("#notice").inner_text()
    visit.until(lambda: not visit.page.locator("#notice").is_visible())
    visit.wait_until_done("third")
    visit.failed.clear()  # the browser itself logs refused connections


def test_a_failed_song_shows_its_reason_and_can_be_retried(visit: Visit, service: Service, tmp_path: Path) -> None:
    song = write(tmp_path / "fourth.wav", true_waves()["mixture"][:, RATE : 2 * RATE])
    store = Store.from_settings(service.settings)
    with stopped(service.children["worker"]):
        visit.choose(song)
        visit.until(lambda: visit.status("fourth").startswith("Queued"), 10)
        store.put_song(visit.songhash(), io.BytesIO(b"words"), 5)
    visit.until(lambda: visit.status("fourth") == "Failed")
    told = requests.get(f"{service.url}/apiv1/status/{visit.songhash()}", timeout=10).json()["error"]["message"]
    assert visit.item("fourth").locator(".error").inner_text() == told
    sent = visit.calls("/separate")
    with song.open("rb") as file:
        store.put_song(visit.songhash(), file, song.stat().st_size)
    visit.press("Retry")
    visit.wait_until_done("fourth")
    assert sent == [], "the service still had it"


def test_a_song_lost_by_the_store_can_be_sent_again(visit: Visit, service: Service, tmp_path: Path) -> None:
    song = write(tmp_path / "fifth.wav", true_waves()["mixture"][:, RATE : 2 * RATE + 99])
    store = Store.from_settings(service.settings)
    with stopped(service.children["worker"]):
        visit.choose(song)
        visit.until(lambda: visit.status("fifth").startswith("Queued"), 10)
        store.minio.remove_object(service.settings.bucket_in, visit.songhash())
    visit.until(lambda: visit.status("fifth") == "Failed")
    assert "no longer in the store" in visit.item("fifth").locator(".error").inner_text()
    visit.press("Retry")
    visit.wait_until_done("fifth")


def test_a_link_opens_the_song_in_another_browser_or_reports_it_removed(
    browser: Browser, visit: Visit, service: Service, short: Path
) -> None:
    visit.choose(short)
    visit.wait_until_done("short")
    visit.page.locator(".player canvas").first.wait_for()
    href = visit.page.get_by_role("link", name="Copy link").get_attribute("href") or ""
    with visiting(browser, service.url) as other:
        other.open(href)
        other.wait_until_done("short")
        other.wait_for_waveform("vocals")
        visit.press("Remove")
        visit.press("From the service, with all stems")
        visit.until(lambda: visit.page.locator(".song").count() == 0)
        other.page.reload()
        other.until(lambda: other.status("short") == "Gone")
        assert "no song under that hash" in other.item("short").locator(".error").inner_text()
        other.failed.clear()  # the browser itself logs each 404
