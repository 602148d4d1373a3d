"""Playback under difficulties: no waveforms, an outage, many seeks, stems that are replaced, a hidden page."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from playwright.sync_api import Route

from local import Service
from msas.queue import Queue
from msas.store import Store
from msas_client import Client
from tests.page.songs import unseen_song
from tests.page.visit import Visit
from tests.support.audio import true_waves, write
from tests.support.rig import stopped

# A drag over the waveform in a hundred steps, in one task of the browser, so that no timer fires on the way.
_DRAG = """(canvas) => {
  const { left, width, top } = canvas.getBoundingClientRect();
  for (let step = 1; step < 100; step++) {
    const clientX = left + (0.8 * width * step) / 100;
    canvas.dispatchEvent(new PointerEvent("pointermove", { pointerId: 1, clientX, clientY: top + 20, bubbles: true }));
  }
}"""
SLICE = 208 * 1152  # samples, at 48 kHz, of an MP3's frames: 4.992 s, thrice which is no end that floats hit


@pytest.fixture(scope="module")
def separated(client: Client, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The songhash of a separated song of half a minute."""
    song = tmp_path_factory.mktemp("separated") / "song.flac"
    return client.separate(write(song, np.tile(true_waves()["mixture"], 5), codec="flac"), wait=True).songhash


@pytest.fixture
def player(visit: Visit, separated: str) -> Visit:
    """The player of that song, opened by its link."""
    visit.open(f"#{separated}")
    visit.page.locator(".player canvas").first.wait_for()
    return visit


def test_a_song_without_waveforms_can_be_downloaded(
    visit: Visit, service: Service, client: Client, tmp_path: Path
) -> None:
    song = write(tmp_path / "old.wav", true_waves()["mixture"][:, :50_001])
    songhash = client.separate(song, wait=True).songhash
    store = Store.from_settings(service.settings)
    store.minio.remove_object(service.settings.bucket_out, f"{songhash}-peaks.json")
    visit.open(f"#{songhash}")
    visit.page.locator(".player").wait_for()
    told = requests.get(f"{service.url}/apiv1/peaks/{songhash}", timeout=10).json()["detail"]
    assert visit.page.locator(".player .error").inner_text() == told
    assert visit.page.get_by_role("button", name="Play").count() == 0
    with visit.page.expect_download() as download:
        visit.page.get_by_role("link", name="Download Vocals").click()
    stem = requests.get(f"{service.url}/apiv1/track/{songhash}/vocals", timeout=20).content
    assert download.value.path().read_bytes() == stem
    visit.failed.clear()  # the browser itself logs the 404


def test_a_song_of_whole_slices_is_played_to_its_end(visit: Visit, client: Client, tmp_path: Path) -> None:
    wave = true_waves()["mixture"].repeat(3, axis=1)[:, : 3 * SLICE]
    song = write(tmp_path / "whole.wav", wave, 48_000)
    visit.open(f"#{client.separate(song, wait=True).songhash}")
    visit.page.get_by_label("Position").fill("14")
    visit.press("Play")
    visit.until(lambda: visit.position() > 14.5)
    visit.until(lambda: visit.position() == 0)
    assert not visit.page.locator(".player .error").is_visible()


def test_dragging_over_a_waveform_fetches_no_sound_on_the_way(player: Visit) -> None:
    player.press("Play")
    player.until(lambda: player.position() > 0.1)
    fetched = player.calls("/track/")
    box = player.page.locator(".drums canvas").bounding_box()
    assert box
    mouse = player.page.mouse
    mouse.move(box["x"] + 1, box["y"] + 20)
    mouse.down()
    player.page.locator(".drums canvas").evaluate(_DRAG)
    mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 20)
    mouse.up()
    there = 0.8 * float(player.page.locator(".position").get_attribute("max") or 0)
    player.until(lambda: there < player.position() < there + 20)
    assert len(fetched) <= 4 * 4, "of four tracks: where the drag began and ended, and the next slice of each"


def test_playback_continues_during_and_after_an_outage_of_the_service(player: Visit) -> None:
    trouble = player.page.locator(".player .error")
    player.press("Play")
    player.until(lambda: player.position() > 0.1)
    player.page.context.set_offline(True)
    player.page.get_by_label("Position").fill("3.5")
    player.until(lambda: trouble.is_visible())
    assert trouble.inner_text() == "The service can't be reached. Trying again."
    assert 3.4 < player.position() < 5.1
    assert player.page.get_by_role("button", name="Pause").is_visible()
    player.until(lambda: player.position() > 4.9)  # as far as there is sound
    player.page.context.set_offline(False)
    player.until(lambda: player.position() > 5.5)
    assert not trouble.is_visible()
    player.failed.clear()  # the browser itself logs the network


TAG = "0123456789abcdef"  # what a later separation has in the names of its objects


def give_other_stems(service: Service, songhash: str, other: str) -> None:
    """Let the song have the stems of another one, as if it had been separated again with another result."""
    store, queue = Store.from_settings(service.settings), Queue.from_settings(service.settings)
    found = store.report(other)
    assert found
    for name in (*(stem.name for stem in found.stems), "mixture"):
        stem = b"".join(store.open_stem(other, name, "flac"))
        store.put_stem(songhash, name, "flac", io.BytesIO(stem), TAG)
    store.put_peaks({**json.loads(store.peaks(other) or b""), "hash": songhash}, TAG)
    _, seen = store.report_and_etag(songhash)
    assert store.put_report(replace(found, songhash=songhash, tag=TAG), seen)
    queue.redis.hset(queue.job_key(songhash), "ended_at", queue.now())


def test_a_song_that_is_separated_again_while_it_plays_goes_on_with_the_new_stems(
    visit: Visit, service: Service, client: Client, tmp_path: Path
) -> None:
    wave = np.tile(true_waves()["mixture"], 2)
    options: dict[str, Any] = {"format": "flac", "stems": "vocals"}
    first, second = (
        client.separate(write(tmp_path / f"{number}.wav", unseen_song(wave[:, ::step])), wait=True, **options).songhash
        for number, step in enumerate((1, -1))
    )
    visit.open(f"#{first}")
    visit.press("Play")
    visit.until(lambda: visit.position() > 0.1)
    opened = visit.calls("/peaks/")

    give_other_stems(service, first, second)
    visit.page.get_by_label("Position").fill("10.5")  # in the third slice, which it does not have yet

    visit.until(lambda: visit.position() > 10.6)
    assert visit.page.get_by_role("button", name="Pause").is_visible()
    assert not visit.page.locator(".player .error").is_visible()
    assert len(opened) == 1


def test_a_player_closed_while_loading_does_not_open(visit: Visit, client: Client, song: Path) -> None:
    visit.open(f"#{client.separate(song, wait=True).songhash}")
    visit.page.locator(".player canvas").first.wait_for()
    held: list[Route] = []
    visit.page.route("**/apiv1/peaks/*", lambda route: held.append(route))
    visit.press("Close")
    visit.press("Listen")
    visit.until(lambda: held)
    visit.press("Close")
    with visit.page.expect_response("**/apiv1/peaks/*"):
        held[0].continue_()
    visit.page.wait_for_timeout(300)
    assert visit.page.locator(".player").count() == 0
    visit.page.unroute("**/apiv1/peaks/*")
    visit.press("Listen")
    visit.page.locator(".player canvas").first.wait_for()


def test_a_response_that_breaks_off_is_a_temporary_error(visit: Visit) -> None:
    assert visit.page.evaluate("""async () => {
      const { readBody } = await import(document.querySelector("script").src.replace("app.js", "service/api.js"));
      const body = new ReadableStream({ start: (controller) => controller.error(new TypeError("network error")) });
      return readBody(new Response(body), "arrayBuffer").catch(({ message, temporary }) => [message, temporary]);
    }""") == ["The service can't be reached.", True]


def test_a_hidden_page_polls_rarely(visit: Visit, service: Service, tmp_path: Path) -> None:
    with stopped(service.children["worker"]):
        visit.choose(write(tmp_path / "unseen.wav", true_waves()["mixture"][:, :60_001]))
        visit.until(lambda: visit.status("unseen").startswith("Queued"))
        visit.page.evaluate("""() => {
          Object.defineProperty(document, "hidden", { get: () => window.unseen, configurable: true });
          window.unseen = true;
          document.dispatchEvent(new Event("visibilitychange"));
        }""")
        asked = visit.calls("/status/")
        visit.page.wait_for_timeout(2_000)
        assert len(asked) <= 1
    visit.page.evaluate("""() => {
      window.unseen = false;
      document.dispatchEvent(new Event("visibilitychange"));
    }""")
    visit.wait_until_done("unseen", 4)


def test_forced_colors_keep_pressed_buttons_and_the_playhead_visible(player: Visit) -> None:
    player.page.emulate_media(forced_colors="active")
    player.press("Mute Drums")
    colour = "(each, part) => getComputedStyle(each, part).backgroundColor"
    pressed, other = (player.page.get_by_label(f"Mute {stem}").evaluate(colour) for stem in ("Drums", "Bass"))
    assert pressed != other
    playhead = player.page.locator(".drums .waveform").evaluate(colour, "::after")
    assert playhead != player.page.locator("body").evaluate(colour)
