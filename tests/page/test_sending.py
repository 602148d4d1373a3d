"""Uploads: cancelled at each stage, too large, unreadable, and those behind such a song."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import requests
from playwright.sync_api import Route

from local import Service
from tests.page.songs import short_unseen_song, unseen_song
from tests.page.visit import Visit
from tests.support.audio import true_waves, write
from tests.support.processes import eventually
from tests.support.rest_process import rest_stopped
from tests.support.rig import stopped

NOTHING: dict[str, list[str]] = {"queue": [], "running": [], "waiting_retry": []}


def test_cancelling_a_waiting_song_removes_it_without_an_error(visit: Visit, service: Service, tmp_path: Path) -> None:
    with stopped(service.children["worker"]):
        with visit.page.expect_request(lambda request: "wait=25" in request.url):
            visit.choose(write(tmp_path / "waits.wav", short_unseen_song()))
        # It is next, for the worker that stands still was listening; and number 1, where it was not.
        assert re.match("Queued, (next|number 1) in the queue", visit.status("waits"))
        songhash = visit.songhash()
        visit.press("Cancel")
        visit.until(lambda: visit.status("waits") == "Cancelled")
        assert requests.get(f"{service.url}/apiv1/status/{songhash}", timeout=10).status_code == 404
    assert not visit.item("waits").locator(".error").is_visible()
    visit.failed.clear()  # the browser complains of the 404 that a status call in flight may meet


def test_a_song_cancelled_during_its_upload_can_be_sent_again(visit: Visit, tmp_path: Path) -> None:
    song = write(tmp_path / "slow.wav", unseen_song(true_waves()["mixture"]))
    network = visit.page.context.new_cdp_session(visit.page)
    network.send("Network.enable")
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1}
    network.send("Network.emulateNetworkConditions", {**limits, "uploadThroughput": 400_000})
    sent = visit.calls("/separate")
    visit.choose(song)
    visit.until(lambda: visit.status("slow").startswith("Sending, ") and "0 %" not in visit.status("slow"))
    # Retry comes up where Cancel was: the second click of a double click is not meant for it.
    visit.item("slow").get_by_role("button", name="Cancel").dblclick(position={"x": 15, "y": 4})
    visit.until(lambda: visit.status("slow") == "Cancelled")
    network.send("Network.emulateNetworkConditions", {**limits, "uploadThroughput": -1})
    visit.press("Retry", visit.item("slow"))
    visit.wait_until_done("slow")
    assert len(sent) == 2


def test_a_song_cancelled_and_added_again_while_waiting_is_sent_once(
    visit: Visit, service: Service, tmp_path: Path
) -> None:
    sent = visit.calls("/separate")
    with rest_stopped(service):
        visit.choose(*(write(tmp_path / f"{name}.wav", short_unseen_song()) for name in ("first", "second")))
        visit.until(lambda: visit.status("first") == "Sent; being checked")
        visit.press("Cancel", visit.item("second"))
        assert visit.status("second") == "Cancelled"
        visit.press("Retry", visit.item("second"))
    visit.wait_until_done("first")
    visit.wait_until_done("second")
    assert len(sent) == 2


def test_cancelling_after_the_upload_removes_the_song_from_the_service(
    visit: Visit, service: Service, tmp_path: Path
) -> None:
    eventually(lambda: line(service) == NOTHING, 60)  # what other tests left has ended
    with stopped(service.children["worker"]):
        with rest_stopped(service):
            visit.choose(write(tmp_path / "late.wav", short_unseen_song()))
            visit.until(lambda: visit.status("late") == "Sent; being checked")
            visit.press("Cancel")
            visit.until(lambda: visit.status("late") == "Being cancelled")
        visit.until(lambda: visit.status("late") == "Cancelled")
        assert visit.songhash() == ""
        assert line(service) == NOTHING
    assert not visit.item("late").locator(".error").is_visible()


def line(service: Service) -> dict[str, list[str]]:
    """Return the queued, running and waiting jobs."""
    found: dict[str, list[str]] = requests.get(f"{service.url}/apiv1/queue", timeout=10).json()
    return found


def test_a_second_cancel_does_not_wait_for_the_first(visit: Visit, service: Service, tmp_path: Path) -> None:
    with rest_stopped(service):
        visit.choose(write(tmp_path / "never.wav", short_unseen_song()))
        visit.until(lambda: visit.status("never") == "Sent; being checked")
        visit.press("Cancel")
        visit.until(lambda: visit.status("never") == "Being cancelled")
        visit.press("Cancel")
        visit.until(lambda: visit.status("never") == "Cancelled")


def test_a_song_dropped_twice_and_cancelled_once_stays_queued(visit: Visit, service: Service, tmp_path: Path) -> None:
    song = write(tmp_path / "twice.wav", short_unseen_song())
    with stopped(service.children["worker"]):
        visit.choose(song)
        visit.until(lambda: visit.status("twice").startswith("Queued"))
        with rest_stopped(service):
            visit.choose(song)
            newest = visit.item("twice").first
            visit.until(lambda: newest.locator(".status").inner_text() == "Sent; being checked")
            visit.press("Cancel", newest)
        visit.until(lambda: visit.item("twice").count() == 1)
        assert visit.status("twice").startswith("Queued")
    visit.wait_until_done("twice")


def refuse(route: Route) -> None:
    """Answer as REST does while the store is unreachable."""
    told = {"title": "Away", "detail": "The store is away.", "status": 503, "code": "store_unavailable"}
    route.fulfill(status=503, json=told, content_type="application/problem+json")


def test_a_refused_cancel_is_reported_and_the_song_continues(
    visit: Visit, service: Service, short: Path, tmp_path: Path
) -> None:
    visit.page.route("**/apiv1/remove/*", refuse)
    error = visit.item("stays").locator("> .error")
    visit.choose(short)
    visit.wait_until_done("short")  # and its player opens; so that of the other won't
    with stopped(service.children["worker"]):
        visit.choose(write(tmp_path / "stays.wav", short_unseen_song()))
        visit.until(lambda: visit.status("stays").startswith("Queued"))
        visit.press("Cancel")
        visit.until(lambda: error.is_visible())
        assert (error.inner_text(), visit.status("stays")[:6]) == ("The store is away.", "Queued")
    visit.wait_until_done("stays")
    assert not error.is_visible()
    visit.press("Remove", visit.item("stays"))
    visit.press("From the service, with all stems")
    visit.until(lambda: error.is_visible())
    assert visit.status("stays").startswith("Done")
    assert visit.page.locator(".player").count() == 1
    visit.failed.clear()  # the browser itself logs each 503


def test_a_song_whose_cancel_is_refused_late_stays_on_the_list(visit: Visit, service: Service, tmp_path: Path) -> None:
    held: list[Route] = []
    visit.page.route("**/apiv1/remove/*", lambda route: held.append(route))
    with stopped(service.children["worker"]):
        with visit.page.expect_request(lambda request: "wait=25" in request.url):
            visit.choose(write(tmp_path / "late.wav", short_unseen_song()))
        visit.press("Cancel")
        visit.until(lambda: held)
        with visit.page.expect_response("**/apiv1/status/*"):
            os.kill(service.children["worker"].process.pid, signal.SIGCONT)
    visit.page.wait_for_timeout(1_000)  # it finds nothing more to ask for
    refuse(held[0])
    visit.wait_until_done("late")
    visit.failed.clear()  # the browser itself logs the 503


def test_a_song_that_is_too_large_is_refused_before_it_is_sent(visit: Visit, tmp_path: Path) -> None:
    large = tmp_path / "large.wav"
    with large.open("wb") as file:
        file.truncate(service_takes := 20_000_001)
    sent = visit.calls("/separate")
    visit.choose(large)
    visit.until(lambda: visit.status("large") == "Refused")
    visit.until(
        lambda: visit.page.locator("#announcement").inner_text().startswith("large.wav: Refused. The song is larger")
    )
    assert f"at most {service_takes // 1_000_000} MB" in visit.item("large").locator(".error").inner_text()
    assert sent == []


def test_a_vanished_file_does_not_block_the_files_behind_it(visit: Visit, service: Service, tmp_path: Path) -> None:
    songs = [write(tmp_path / f"{name}.wav", short_unseen_song()) for name in ("one", "two", "three")]
    with rest_stopped(service):
        visit.choose(*songs)
        visit.until(lambda: visit.status("one") == "Sent; being checked")
        songs[1].unlink()
    visit.wait_until_done("three")
    assert visit.status("two") == "Refused"
    assert "can't be read any more" in visit.item("two").locator(".error").inner_text()
    visit.failed.clear()  # the browser itself logs the file
    write(songs[1], short_unseen_song())
    with visit.page.expect_file_chooser() as choosing:
        visit.press("Retry", visit.item("two"))
    choosing.value.set_files(str(songs[1]))
    visit.wait_until_done("two")
