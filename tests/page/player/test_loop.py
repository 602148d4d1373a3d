"""The loop of the player, to the sample, and the download of what is heard in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import requests
from playwright.sync_api import Browser

from local import Service
from msas_client import Client
from tests.page.visit import Visit, visiting
from tests.support.audio import RATE, STEMS, Wave, decode, true_waves, write

START, END = 4.8, 5.3  # slices meet at 5 s
FADE = RATE // 100


@pytest.fixture(scope="module")
def songhash(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A song of six seconds, separated into WAV stems."""
    song = write(tmp_path_factory.mktemp("looped") / "song.wav", true_waves()["mixture"])
    job = client.separate(song, wait=True, format="wav")
    yield job.songhash
    client.remove(job)


@pytest.fixture
def stems(service: Service, songhash: str, tmp_path: Path) -> dict[str, Wave]:
    """The decoded stems."""
    found = {}
    for stem in STEMS:
        path = tmp_path / f"{stem}.wav"
        path.write_bytes(requests.get(f"{service.url}/apiv1/track/{songhash}/{stem}", timeout=20).content)
        found[stem] = decode(path)
    return found


@pytest.fixture
def player(browser: Browser, service: Service, songhash: str) -> Iterator[Visit]:
    with visiting(browser, service.url, bypass_csp=True) as visit:  # the policy forbids the recorder's code
        visit.open(f"#{songhash}")
        visit.page.locator(".player canvas").nth(4).wait_for()
        yield visit


def set_loop(visit: Visit) -> None:
    visit.page.get_by_label("Loop start").fill(str(START))
    visit.page.get_by_label("Loop end").fill(str(END))
    visit.page.get_by_label("Loop end").blur()


def looped(track: Wave, times: int) -> Wave:
    """Return what a loop plays of one channel: its end fades into its start within 10 ms."""
    start, end = round(START * RATE), round(END * RATE)
    rising = np.arange(1, FADE + 1) / (FADE + 1)
    crossfade = track[end : end + FADE] * (1 - rising) + track[start : start + FADE] * rising
    again = np.concatenate([crossfade, track[start + FADE : end]])
    return np.concatenate([track[start:end], *[again] * times]).astype(np.float32)


def first_sound(tracks: Wave) -> int:
    """Return the first sample at which one of the tracks, shape (tracks, samples), is not silent."""
    return int(np.argmax(np.abs(tracks).max(axis=0) > 1e-4))


def test_a_loop_returns_at_exact_samples_with_a_short_crossfade(player: Visit, stems: dict[str, Wave]) -> None:
    player.press("Play")
    player.until(lambda: player.page.evaluate("gains.length") == 5)
    player.press("Pause")
    player.start_recording()
    set_loop(player)
    player.page.get_by_label("Position", exact=True).fill(str(START))
    positions: list[float] = []

    def has_returned_three_times() -> bool:
        positions.append(player.position())
        return bool(np.count_nonzero(np.diff(positions) < -0.3) >= 3)

    player.press("Play")
    player.until(has_returned_three_times)
    heard = player.recording()

    assert all(START - 0.01 <= each <= END + 0.01 for each in positions)
    assert player.page.get_by_role("button", name="Loop", exact=True).get_attribute("aria-pressed") == "true"
    tracks = [looped(stems[stem][0], 2) for stem in STEMS]
    begin = first_sound(heard[:4]) - first_sound(np.stack(tracks))
    for stem, track, recorded in zip(STEMS, tracks, heard, strict=False):
        found = recorded[begin : begin + len(track)]
        assert len(found) == len(track)
        assert np.abs(found - track.clip(-1, 1)).max() < 1e-3, stem


def test_keys_and_a_drag_with_shift_set_the_loop_and_the_button_ends_it(player: Visit) -> None:
    start, end = player.page.get_by_label("Loop start"), player.page.get_by_label("Loop end")
    box = player.page.locator(".drums canvas").bounding_box()
    assert box
    player.page.get_by_label("Position", exact=True).fill("1.5")
    player.page.keyboard.press("[")
    player.page.get_by_label("Position", exact=True).fill("2.5")
    player.page.keyboard.press("]")
    assert (start.input_value(), end.input_value()) == ("1.5", "2.5")

    player.page.keyboard.down("Shift")
    player.page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 9)
    player.page.mouse.down()
    player.page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 9, steps=4)
    player.page.mouse.up()
    player.page.keyboard.up("Shift")
    assert float(start.input_value()) == pytest.approx(3.04, abs=0.05)
    assert float(end.input_value()) == pytest.approx(4.56, abs=0.05)

    player.press("Loop")
    assert player.page.locator(".looping").count() == 0
    player.page.get_by_label("Position", exact=True).fill("5.9")
    player.press("Play")
    player.until(lambda: player.position() == 0)


def test_the_downloaded_mix_is_what_is_heard_in_the_loop(player: Visit, stems: dict[str, Wave], tmp_path: Path) -> None:
    set_loop(player)
    player.press("Mute Vocals")
    player.page.get_by_label("Volume of Bass").fill("0.4")

    with player.page.expect_download() as downloading:
        player.page.get_by_text("Download this mix").click()
    downloading.value.save_as(tmp_path / "mix.wav")

    query = parse_qs(urlsplit(downloading.value.url).query)
    assert query == {"gains": ["vocals:0,bass:0.4"], "start": ["4.800000"], "end": ["5.300000"]}
    mix = decode(tmp_path / "mix.wav")
    region = slice(round(START * RATE), round(END * RATE))
    heard = stems["drums"] + np.float32(0.4) * stems["bass"] + stems["other"]
    assert mix.shape == heard[:, region].shape
    assert np.abs(mix - heard[:, region].clip(-1, 1)).max() < 1e-3, "below -60 dB"
