"""The player: tracks in sync to the sample, mute, solo, seek, the original."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from playwright.sync_api import Browser

from local import Service
from msas_client import Client
from tests.page.visit import Visit, visiting
from tests.support.audio import RATE, decode, lag, true_waves, write

TRACKS = ("vocals", "drums", "bass", "other", "mixture")


@pytest.fixture
def player(visit: Visit, client: Client, song: Path) -> Visit:
    """The stempeg song's player, opened by its link."""
    visit.open(f"#{client.separate(song, wait=True).songhash}")
    visit.page.locator(".player canvas").first.wait_for()
    return visit


@pytest.mark.parametrize(
    ("rate", "form", "start", "stop"),
    [
        (RATE, {"format": "mp3", "mp3_bitrate": 64}, 4, None),
        (RATE, {"format": "mp3", "mp3_bitrate": 128}, 0, 1),
        (RATE, {"format": "mp3", "mp3_bitrate": 320}, 4, None),
        (RATE, {"format": "wav", "bit_depth": 16}, 4, None),
        (RATE, {"format": "wav", "bit_depth": 32}, 4, None),
        (RATE, {"format": "flac", "bit_depth": 16}, 4, None),
        (RATE, {"format": "flac", "bit_depth": 24}, 4, None),
        (RATE // 2, {"format": "mp3", "mp3_bitrate": 128}, 9, None),  # MPEG-2, and twice as long: the second seam
    ],
    ids=lambda given: " ".join(map(str, given.values())) if isinstance(given, dict) else str(given),
)
def test_all_tracks_play_in_sync_without_gaps_and_equal_their_files(
    browser: Browser,
    service: Service,
    client: Client,
    tmp_path: Path,
    rate: int,
    form: dict[str, Any],
    start: int,
    stop: int | None,
) -> None:
    """The player plays from `start` to `stop`, in seconds, or to the song's end; the slices meet at 5 and 10 s."""
    song = write(tmp_path / "song.wav", true_waves()["mixture"], rate)
    songhash = client.separate(song, wait=True, **form).songhash
    with visiting(browser, service.url, bypass_csp=True) as visit:  # the policy forbids the recorder's code
        visit.open(f"#{songhash}")
        visit.press("Play")
        visit.until(lambda: visit.page.evaluate("gains.length") == 5)
        visit.press("Pause")
        visit.start_recording()
        visit.page.get_by_label("Position").fill(str(start))
        visit.press("Original")  # all five are fetched from now on; and all but it are silent
        visit.unmute_all()
        visit.press("Play")
        visit.until(lambda: visit.position() > start + 0.1)
        visit.until(lambda: visit.position() == 0 if stop is None else visit.position() > stop + 0.2)
        heard = visit.recording()
    files = []
    for name in TRACKS:
        path = tmp_path / f"{name}.{form['format']}"
        path.write_bytes(requests.get(f"{service.url}/apiv1/track/{songhash}/{name}", timeout=20).content)
        files.append(decode(path, rate=rate)[0][start * rate : None if stop is None else stop * rate])
    begin = lag(files[4][None], heard[4][None])
    for name, track, file in zip(TRACKS, heard, files, strict=True):
        found = track[begin : begin + len(file)]
        assert len(found) == len(file)
        clipped = np.abs(found - file.clip(-1, 1))  # as browsers' decoders of some formats do
        assert np.minimum(np.abs(found - file), clipped).max() < 1e-4, name


def test_time_advances_and_stops_where_it_is_paused(player: Visit) -> None:
    player.press("Play")
    player.until(lambda: player.position() > 0.5)
    player.press("Pause")
    stood = player.position()
    player.page.wait_for_timeout(300)
    assert player.position() == stood
    assert player.page.locator(".time").inner_text() == f"0:0{int(stood)} / 0:06"


def test_mute_and_solo_silence_the_right_tracks(player: Visit) -> None:
    player.page.get_by_label("Position").fill("1")
    player.press("Play")
    player.until(lambda: min(player.levels()[:4]) > 0.001)
    player.press("Mute Drums")
    player.until(lambda: [level > 0 for level in player.levels()[:4]] == [True, False, True, True], 5)
    player.press("Mute Drums")
    player.press("Solo Bass")
    player.until(lambda: [level > 0 for level in player.levels()[:4]] == [False, False, True, False], 5)
    player.press("Solo Bass")
    player.page.get_by_label("Volume of Bass").fill("0")
    player.until(lambda: player.levels()[2] == 0 and player.levels()[1] > 0, 5)


def test_the_original_plays_alone_and_is_fetched_only_when_selected(player: Visit) -> None:
    asked: list[str] = []
    player.page.on("request", lambda request: asked.append(request.url))
    player.press("Play")
    player.until(lambda: player.levels()[1] > 0)
    assert not [url for url in asked if "mixture" in url]
    player.press("Original")
    player.until(lambda: [level > 0 for level in player.levels()] == [False] * 4 + [True], 6)


def test_a_click_on_a_waveform_and_the_arrow_keys_seek(player: Visit) -> None:
    wave = player.page.locator(".drums canvas")
    box = wave.bounding_box()
    assert box
    wave.click(position={"x": box["width"] / 2, "y": 20})
    assert player.position() == pytest.approx(3.04, abs=0.1)
    slider = player.page.get_by_label("Position")
    slider.focus()
    before = player.position()
    slider.press("ArrowRight")
    assert player.position() == pytest.approx(before + 6.08 / 20, abs=0.02)
    slider.press("PageDown")
    assert player.position() < before
    player.press("Play")
    wave.click(position={"x": box["width"] * 0.8, "y": 20})
    player.until(lambda: player.position() > 4.8, 5)


def test_four_waveforms_and_the_originals_are_drawn_before_any_sound_is_fetched(player: Visit) -> None:
    asked: list[str] = []
    player.page.on("request", lambda request: asked.append(request.url))
    player.page.reload()
    player.page.locator(".player canvas").nth(4).wait_for()
    for name in TRACKS:
        player.wait_for_waveform(name)
    shapes = {tuple(player.inked_rows(name)) for name in TRACKS}
    assert len(shapes) == 5, "each has its own shape"
    assert not [url for url in asked if "/track/" in url]


def test_waveforms_follow_a_change_of_theme(player: Visit) -> None:
    player.wait_for_waveform("vocals")
    canvas = player.page.locator(".vocals canvas")
    for theme in ("dark", "light"):
        before = canvas.evaluate("each => each.toDataURL()")
        player.page.emulate_media(color_scheme=theme)
        player.until(lambda before=before: canvas.evaluate("each => each.toDataURL()") != before, 5)


def test_a_closed_player_frees_its_memory(player: Visit) -> None:
    for _ in range(5):
        player.press("Close")
        player.press("Listen")
        player.page.locator(".player canvas").nth(4).wait_for()
    player.press("Close")
    session = player.page.context.new_cdp_session(player.page)
    prototype = session.send("Runtime.evaluate", {"expression": "HTMLCanvasElement.prototype"})["result"]["objectId"]

    def canvases() -> int:
        session.send("HeapProfiler.collectGarbage")
        found = session.send("Runtime.queryObjects", {"prototypeObjectId": prototype, "objectGroup": "canvases"})
        count = session.send(
            "Runtime.callFunctionOn",
            {"functionDeclaration": "function () { return this.length; }", "objectId": found["objects"]["objectId"]},
        )
        session.send("Runtime.releaseObjectGroup", {"objectGroup": "canvases"})
        return int(count["result"]["value"])

    player.until(lambda: canvases() <= len(TRACKS), 10)  # those of the last may still be in the engine's hands
