"""From a dropped song to the mix of its slowed chorus, and to a friend's browser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import requests
from playwright.sync_api import Browser

from local import Service
from tests.page.songs import unseen_song
from tests.page.visit import Visit, visiting
from tests.support.audio import decode, true_waves, write


def test_a_song_is_dropped_looped_slowed_muted_transposed_downloaded_and_sent_to_a_friend(
    visit: Visit, browser: Browser, service: Service, tmp_path: Path
) -> None:
    page = visit.page
    visit.drop(write(tmp_path / "song.flac", np.tile(unseen_song(true_waves()["mixture"]), 2), codec="flac"))
    visit.wait_until_done("song")
    page.locator(".player canvas").nth(4).wait_for()
    page.get_by_label("Loop start").fill("6.08")
    page.get_by_label("Loop end").fill("9.12")
    page.get_by_label("Loop end").blur()
    page.get_by_label("Tempo, in percent").fill("70")
    visit.press("Mute Vocals")
    visit.press("Transpose up")
    visit.press("Transpose up")
    visit.press("Play")
    visit.until(lambda: visit.position() > 6.3)
    visit.until(lambda: [level > 0 for level in visit.levels()[:4]] == [False, True, True, True])
    visit.press("Pause")

    with page.expect_download() as downloading:
        page.get_by_text("Download this mix").click()
    downloading.value.save_as(tmp_path / "mix.mp3")
    link = page.get_by_role("link", name="Copy link")
    link.focus()
    fragment = link.get_attribute("href") or ""

    mix = decode(tmp_path / "mix.mp3")
    songhash = visit.songhash()
    expected = requests.get(
        f"{service.url}/apiv1/mix/{songhash}.mp3?gains=vocals:0&start=6.08&end=9.12&tempo=0.7&transpose=2", timeout=20
    ).content
    (tmp_path / "expected.mp3").write_bytes(expected)
    assert np.array_equal(mix, decode(tmp_path / "expected.mp3"))
    with visiting(browser, service.url) as friend:
        friend.open(fragment)
        friend.page.locator(".player canvas").nth(4).wait_for()
        assert friend.page.get_by_label("Tempo, in percent").input_value() == "70"
        assert friend.page.locator(".key-text").inner_text().startswith("+2")
        assert friend.page.get_by_label("Mute Vocals").get_attribute("aria-pressed") == "true"
        assert friend.page.get_by_label("Loop start").input_value() == "6.08"
        assert friend.position() == pytest.approx(visit.position(), abs=0.02)
