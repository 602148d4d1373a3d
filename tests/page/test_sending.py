"""Songs on their way to the service: cancelled at every moment, too large, unreadable, or behind such a one."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from local import Service
from tests.audio import RATE, Wave, true_waves, write
from tests.page.visit import Visit
from tests.rig import stopped


def part(begin: int) -> Wave:
    """Return a second of music, another one for each `begin`."""
    return true_waves()["mixture"][:, begin : begin + RATE]


@contextmanager
def rest_stopped(service: Service) -> Iterator[None]:
    """Let REST, all its processes, take connections but neither read nor answer."""
    group = service.children["rest"].process.pid
    os.killpg(group, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(group, signal.SIGCONT)


def test_a_song_cancelled_in_line_is_gone_from_it_without_a_word_of_error(
    visit: Visit, service: Service, tmp_path: Path
) -> None:
    with stopped(service.children["worker"]):
        with visit.page.expect_request(lambda request: "wait=25" in request.url):
            visit.choose(write(tmp_path / "waits.wav", part(101)))
        assert visit.words("waits").startswith("Queued, number 1 in line")
        songhash = visit.songhash()
        with visit.page.expect_response(lambda answer: songhash in answer.url and answer.status == 404):
            visit.press("Cancel")
        visit.until(lambda: visit.words("waits") == "Cancelled")
        assert requests.get(f"{service.url}/apiv1/queue", timeout=10).json()["queue"] == []
    assert not visit.item("waits").locator(".error").is_visible()
    visit.failed.clear()  # the browser itself complains of the 404 that the call in flight met


def test_a_song_cancelled_while_it_is_sent_is_sent_once_more_at_a_click(visit: Visit, tmp_path: Path) -> None:
    song = write(tmp_path / "slow.wav", true_waves()["mixture"][:, 102:])
    network = visit.page.context.new_cdp_session(visit.page)
    network.send("Network.enable")
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1}
    network.send("Network.emulateNetworkConditions", {**limits, "uploadThroughput": 400_000})
    sent = visit.calls("/separate")
    visit.choose(song)
    visit.until(lambda: visit.words("slow").startswith("Sending, ") and "0 %" not in visit.words("slow"))
    # Retry comes up where Cancel was: the second click of a double click is not meant for it.
    visit.item("slow").get_by_role("button", name="Cancel").dblclick(position={"x": 15, "y": 4})
    visit.until(lambda: visit.words("slow") == "Cancelled")
    network.send("Network.emulateNetworkConditions", {**limits, "uploadThroughput": -1})
    visit.press("Retry", visit.item("slow"))
    visit.done("slow")
    assert len(sent) == 2


def test_a_song_cancelled_and_wanted_again_before_its_turn_is_sent_once(
    visit: Visit, service: Service, tmp_path: Path
) -> None:
    sent = visit.calls("/separate")
    with rest_stopped(service):
        visit.choose(*(write(tmp_path / f"{name}.wav", part(n)) for n, name in enumerate(("first", "second"), 105)))
        visit.until(lambda: visit.words("first") == "Sent; being checked")
        visit.press("Cancel", visit.item("second"))
        assert visit.words("second") == "Cancelled"
        visit.press("Retry", visit.item("second"))
    visit.done("first")
    visit.done("second")
    assert len(sent) == 2


def test_a_song_cancelled_when_the_service_has_it_already_is_removed_from_it(
    visit: Visit, service: Service, tmp_path: Path
) -> None:
    with stopped(service.children["worker"]):
        with rest_stopped(service):
            visit.choose(write(tmp_path / "late.wav", part(103)))
            visit.until(lambda: visit.words("late") == "Sent; being checked")
            visit.press("Cancel")
            visit.until(lambda: visit.words("late") == "Being cancelled")
        visit.until(lambda: visit.words("late") == "Cancelled")
        assert requests.get(f"{service.url}/apiv1/queue", timeout=10).json()["queue"] == []
    assert not visit.item("late").locator(".error").is_visible()


def test_a_song_that_is_too_large_is_refused_before_it_is_sent(visit: Visit, tmp_path: Path) -> None:
    large = tmp_path / "large.wav"
    with large.open("wb") as file:
        file.truncate(service_takes := 20_000_001)
    sent = visit.calls("/separate")
    visit.choose(large)
    visit.until(lambda: visit.words("large") == "Refused")
    assert f"at most {service_takes // 1_000_000} MB" in visit.item("large").locator(".error").inner_text()
    assert sent == []


def test_a_file_that_vanished_holds_up_nobody_behind_it(visit: Visit, service: Service, tmp_path: Path) -> None:
    first, second, third = (write(tmp_path / f"{name}.wav", part(n)) for n, name in enumerate(("one", "two", "three")))
    with rest_stopped(service):
        visit.choose(first, second, third)
        visit.until(lambda: visit.words("one") == "Sent; being checked")
        second.unlink()
    visit.done("three")
    assert visit.words("two") == "Refused"
    assert "can't be read any more" in visit.item("two").locator(".error").inner_text()
    visit.failed.clear()  # the browser itself complains of the file
    second = write(second, part(104))
    with visit.page.expect_file_chooser() as choosing:
        visit.press("Retry", visit.item("two"))
    choosing.value.set_files(str(second))
    visit.done("two")
