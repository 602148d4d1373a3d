"""The player's keys, its ruler, its zoom, its count-in, and the help."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from playwright.sync_api import Locator

from msas_client import Client
from tests.page.visit import Visit
from tests.support.audio import true_waves, write

SECONDS = 24.32


@pytest.fixture(scope="module")
def songhash(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A song of 24 seconds."""
    song = write(tmp_path_factory.mktemp("controls") / "song.flac", np.tile(true_waves()["mixture"], 4), codec="flac")
    job = client.separate(song, wait=True)
    yield job.songhash
    client.remove(job)


@pytest.fixture
def player(visit: Visit, songhash: str) -> Visit:
    visit.open(f"#{songhash}")
    visit.page.locator(".player canvas").nth(4).wait_for()
    return visit


def pressed(player: Visit, name: str) -> bool:
    return player.page.get_by_role("button", name=name, exact=True).get_attribute("aria-pressed") == "true"


def drag(player: Visit, target: Locator, *fractions: float) -> None:
    """Drag over the target from one fraction of its width to the next."""
    box = target.bounding_box()
    assert box
    first, *others = [box["x"] + fraction * box["width"] for fraction in fractions]
    mouse, y = player.page.mouse, box["y"] + box["height"] / 2
    mouse.move(first, y)
    mouse.down()
    for x in others:
        mouse.move(x, y, steps=5)
    mouse.up()


def loop(player: Visit) -> list[float]:
    """Return the loop's start and end, in seconds."""
    return [float(player.page.get_by_label(f"Loop {name}").input_value()) for name in ("start", "end")]


def view(player: Visit) -> list[str]:
    """Return the times that the ruler shows."""
    return player.page.locator(".marks span").all_inner_texts()


def test_keys_play_seek_mute_solo_loop_and_change_tempo_and_key(player: Visit) -> None:
    keys = player.page.keyboard
    for key in ("2", "Shift+Digit3", "o", "l", "-", "-", "Shift+ArrowUp", "ArrowRight", "ArrowRight"):
        keys.press(key)

    assert [pressed(player, name) for name in ("Mute Drums", "Solo Bass", "Original", "Loop")] == [True] * 4
    assert player.page.get_by_label("Tempo, in percent").input_value() == "90"
    assert player.page.locator(".key-text").inner_text().startswith("+1")
    assert player.position() == pytest.approx(2 * SECONDS / 20, abs=0.05)
    keys.press("Home")
    assert player.position() == 0
    keys.press("Space")
    player.until(lambda: player.position() > 0.2)
    keys.press("Space")
    assert player.page.get_by_role("button", name="Play", exact=True).is_visible()


def test_keys_that_are_typed_into_a_field_do_nothing_else(player: Visit) -> None:
    field = player.page.get_by_label("Loop start")
    field.click()
    field.press("ControlOrMeta+a")
    field.press_sequentially("12")
    field.press("Enter")

    assert loop(player)[0] == 12
    assert not pressed(player, "Mute Vocals")
    assert not pressed(player, "Mute Drums")


def test_a_drag_on_the_ruler_makes_a_loop_whose_ends_can_be_dragged(player: Visit) -> None:
    ruler = player.page.locator(".ruler")
    drag(player, ruler, 0.75, 0.25)
    assert loop(player) == pytest.approx([SECONDS / 4, SECONDS * 3 / 4], abs=0.1)
    assert pressed(player, "Loop")

    box, handle = ruler.bounding_box(), player.page.locator(".region .end-b").bounding_box()
    assert box
    assert handle
    drag(player, ruler, (handle["x"] + 4 - box["x"]) / box["width"], 0.5)

    assert loop(player) == pytest.approx([SECONDS / 4, SECONDS / 2], abs=0.1)
    ruler.click(position={"x": box["width"] * 0.4, "y": 8})
    assert player.position() == pytest.approx(SECONDS * 0.4, abs=0.1)
    assert loop(player) == pytest.approx([SECONDS / 4, SECONDS / 2], abs=0.1)


def test_zoom_shows_a_part_in_detail_and_fetches_its_sound_only_then(player: Visit) -> None:
    player.page.get_by_label("Position", exact=True).fill("12")
    canvas = player.page.locator(".drums canvas")
    fetched = player.calls("/track/")
    whole = canvas.evaluate("each => each.toDataURL()")

    player.press("Zoom in")
    player.page.wait_for_timeout(500)
    assert {url.rsplit("/")[-1] for url in fetched} == {
        f"{name}.mp3" for name in ("vocals", "drums", "bass", "other", "mixture")
    }
    for _ in range(3):
        player.page.keyboard.press("z")

    assert view(player)[0].startswith("0:11")
    assert view(player)[-1].startswith("0:12")
    coarse = canvas.evaluate("each => each.toDataURL()")
    assert coarse != whole
    assert player.page.get_by_role("button", name="Zoom in").get_attribute("aria-disabled") == "true"
    box = canvas.bounding_box()
    assert box
    canvas.click(position={"x": box["width"] - 1, "y": 20})
    assert player.position() < 14
    for _ in range(4):
        player.page.keyboard.press("x")
    assert view(player)[0] == "0:00"
    player.until(lambda: canvas.evaluate("each => each.toDataURL()") == whole)


def test_zoomed_waveforms_follow_the_playhead_and_move_with_the_wheel(player: Visit) -> None:
    for _ in range(4):
        player.page.keyboard.press("z")
    first = view(player)
    player.page.get_by_label("Position", exact=True).fill("1.5")
    player.press("Play")
    player.until(lambda: player.position() > 2.3)
    player.press("Pause")
    assert view(player)[0] > first[0]

    player.page.locator(".drums canvas").hover()
    player.page.keyboard.down("Shift")
    player.page.mouse.wheel(0, 5000)
    player.page.keyboard.up("Shift")

    player.until(lambda: view(player)[0] >= "0:10")


def test_a_bar_is_counted_before_the_song_plays_where_its_tempo_is_known(player: Visit, songhash: str) -> None:
    status = player.page.evaluate("hash => fetch(`/apiv1/status/${hash}`).then((answer) => answer.json())", songhash)
    bpm = status["tempo_bpm"]
    assert bpm, "the service knows it"
    assert f"{round(bpm)} BPM" in player.page.locator(".facts").inner_text()
    player.press("Count in")
    now = "() => [gains[0].context.currentTime, document.querySelector('.position').valueAsNumber]"

    player.press("Play")
    player.until(lambda: player.page.evaluate("gains.length") == 5)
    seen: list[list[float]] = []

    def moves() -> bool:
        seen.append(player.page.evaluate(now))
        return seen[-1][1] > 0

    player.until(moves)
    assert seen[-1][0] - seen[-1][1] == pytest.approx(4 * 60 / bpm, abs=0.5)
    assert all(later >= earlier for (_, earlier), (_, later) in pairwise(seen))


def test_the_help_lists_the_keys_and_is_accessible(player: Visit) -> None:
    player.page.keyboard.press("?")
    dialog = player.page.get_by_role("dialog", name="Keys")

    assert dialog.is_visible()
    assert "Start or end the loop here" in dialog.inner_text()
    assert player.axe_violations() == []
    player.page.keyboard.press("1")
    assert not pressed(player, "Mute Vocals")
    player.page.keyboard.press("Escape")
    assert not dialog.is_visible()
    player.press("Keys ?")
    player.press("Close", dialog)
    assert not dialog.is_visible()
