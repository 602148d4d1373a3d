"""Many songs in the list: the number of status calls, and when songs leave the list."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local import Service
from msas.queue import Queue
from tests.page.visit import Visit

DAY_MS = 86_400_000
# Keeps songs as an earlier visit has left them, the first on top.
_KEEP = """(songs) => songs.forEach((song, i) => localStorage.setItem(`msas.song.${song.name}`, JSON.stringify(
  { since: songs.length - i, options: {}, phase: "sent", error: null, ...song })))"""
_AGE = """([name, days]) => Object.entries(localStorage).forEach(([key, kept]) => {
  const song = JSON.parse(kept);
  song.checked -= days * 86400000;
  if (song.name === name) localStorage.setItem(key, JSON.stringify(song));
})"""


@pytest.fixture
def running(service: Service) -> Iterator[list[str]]:
    """The songhashes of six jobs that no worker has: only the test changes them."""
    queue, songhashes = Queue.from_settings(service.settings), [f"{time.time_ns() + i:056x}" for i in range(6)]
    fields: dict[Any, Any] = {"status": "running", "model": "lite", "progress": 0.25, "stage": "separating"}
    for songhash in songhashes:
        queue.redis.hset(queue.job_key(songhash), mapping=fields)
    yield songhashes
    queue.redis.delete(*map(queue.job_key, songhashes))


def unknown(name: str, **kept: Any) -> dict[str, Any]:
    """Return a song, as the browser keeps it, that the service does not have."""
    return {"name": name, "hash": name.encode().hex().rjust(56, "f"), **kept}


def visit_again(visit: Visit, *songs: dict[str, Any]) -> list[str]:
    """Load the page anew with these songs in the list; return the calls for a status, which grow."""
    visit.page.evaluate(_KEEP, songs)
    asked = visit.calls("/apiv1/status")
    visit.page.reload()
    return asked


def test_the_progress_of_a_running_song_below_five_hundred_others_is_shown_after_a_few_calls(
    visit: Visit, service: Service, running: list[str]
) -> None:
    queue = Queue.from_settings(service.settings)
    others = [unknown(f"other {number}") for number in range(499)]

    asked = visit_again(visit, *others, {"name": "runs", "hash": running[0]})
    visit.until(lambda: visit.status("runs").startswith("Separating, 25 %"))
    queue.redis.hset(queue.job_key(running[0]), "progress", 0.5)
    visit.until(lambda: visit.status("runs").startswith("Separating, 50 %"))

    assert len([url for url in asked if url.endswith("/status")]) == 1
    assert len(asked) < 10
    assert visit.page.locator(".song[data-kind=failed]").count() == len(others)


def test_running_songs_cost_no_more_than_a_few_calls_a_second(
    visit: Visit, service: Service, running: list[str]
) -> None:
    queue = Queue.from_settings(service.settings)
    names = [f"song {number}" for number in range(len(running))]

    asked = visit_again(visit, *({"name": name, "hash": each} for name, each in zip(names, running, strict=True)))
    visit.until(lambda: all(visit.status(name).startswith("Separating") for name in names))
    asked.clear()
    visit.page.wait_for_timeout(4_000)
    assert 1 < len(asked) <= 13

    error = json.dumps({"code": "not_audio", "message": "No song."})
    for songhash in running:
        queue.redis.hset(queue.job_key(songhash), mapping={"status": "failed", "error": error})
    visit.until(lambda: all(visit.status(name) == "Failed" for name in names))


def test_more_than_five_hundred_songs_are_asked_about_in_two_calls(visit: Visit) -> None:
    asked = visit_again(visit, *(unknown(f"other {number}") for number in range(502)))
    visit.until(lambda: visit.status("other 501") == "Gone")

    assert len(asked) == 2


def test_a_finished_song_is_asked_about_when_it_is_opened_or_a_day_old(visit: Visit, short: Path) -> None:
    visit.choose(short)
    visit.wait_until_done("short")
    songhash = visit.songhash()

    asked = visit_again(visit, unknown("other"))
    visit.until(lambda: visit.status("other") == "Gone")
    assert visit.status("short") == "Done, with lite"
    assert not [url for url in asked if songhash in url or url.endswith("/status")]

    visit.press("Listen")
    visit.wait_for_waveform("vocals")
    assert [url for url in asked if songhash in url]

    visit.page.evaluate(_AGE, ["short.wav", 1])
    asked.clear()
    visit.page.reload()
    visit.until(lambda: asked)
    visit.wait_until_done("short")
    visit.failed.clear()  # the browser itself logs the 404


def test_a_song_that_has_been_gone_for_a_week_leaves_the_list(visit: Visit) -> None:
    now = time.time_ns() // 1_000_000

    visit_again(visit, unknown("old", goneSince=now - 8 * DAY_MS), unknown("new", goneSince=now - 6 * DAY_MS))
    visit.until(lambda: visit.status("new") == "Gone")

    assert visit.item("old").count() == 0
    visit.page.reload()
    visit.until(lambda: visit.status("new") == "Gone")
    assert visit.item("old").count() == 0
    visit.failed.clear()  # the browser itself logs the 404


def test_a_link_to_a_song_that_has_been_gone_for_a_week_says_so(visit: Visit) -> None:
    old = unknown("old", goneSince=time.time_ns() // 1_000_000 - 8 * DAY_MS)

    visit.page.evaluate("hash => history.replaceState(null, '', `#${hash}`)", old["hash"])
    visit_again(visit, old)

    visit.until(lambda: visit.status("old") == "Gone")
    visit.failed.clear()  # the browser itself logs the 404
