"""Tempo without change of pitch, and transposition without change of tempo, by what is heard."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser

from local import Service
from msas_client import Client
from tests.page.visit import Visit, visiting
from tests.support.audio import RATE, Wave, write

TONE_HZ, BEAT_SECONDS, SECONDS = 440.0, 0.5, 12
JITTER_SECONDS = 0.08  # of a beat in stretched sound: half a piece, and the search for its place, at half the tempo
SEMITONE = 2 ** (1 / 12)


def tone_with_beats() -> Wave:
    """Return a steady tone with a knock of noise every half second, shape (2, samples)."""
    times = np.arange(SECONDS * RATE) / RATE
    length = RATE // 7
    knock = np.random.default_rng(7).normal(size=length) * np.exp(-np.linspace(0, 5, length))
    wave = 0.25 * np.sin(2 * np.pi * TONE_HZ * times)
    for beat in range(1, int(SECONDS / BEAT_SECONDS)):
        begin = int(beat * BEAT_SECONDS * RATE)
        wave[begin : begin + length] += 0.3 * knock
    return np.stack([wave, wave]).astype(np.float32)


@pytest.fixture(scope="module")
def songhash(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    song = write(tmp_path_factory.mktemp("tone") / "tone.wav", tone_with_beats())
    job = client.separate(song, wait=True, format="wav")
    yield job.songhash
    client.remove(job)


@pytest.fixture
def player(browser: Browser, service: Service, songhash: str) -> Iterator[Visit]:
    with visiting(browser, service.url, bypass_csp=True) as visit:  # the policy forbids the recorder's code
        visit.open(f"#{songhash}")
        visit.page.locator(".player canvas").nth(4).wait_for()
        yield visit


def hear(player: Visit, until: float) -> Wave:
    """Play from the start to the position `until`, in seconds of song; return each track from the first sound on."""
    player.press("Play")
    player.until(lambda: player.page.evaluate("gains.length") == 5)
    player.press("Pause")
    player.start_recording()
    player.page.get_by_label("Position", exact=True).fill("0")
    player.press("Play")
    player.until(lambda: player.position() > until)
    heard = player.recording()[:4]
    return heard[:, int(np.argmax(np.abs(heard).max(axis=0) > 1e-4)) :]


def loudest_hz(wave: NDArray[np.float32]) -> float:
    """Return the frequency of the loudest partial."""
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    return float(np.argmax(spectrum) * RATE / len(wave))


def beats(wave: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the times of the knocks, in seconds: where the wave is rough, after a time without."""
    rough = np.flatnonzero(np.abs(np.diff(wave, 2)) > 0.1)
    return rough[np.diff(rough, prepend=-RATE) > RATE / 5] / RATE


def set_tempo(player: Visit, percent: int) -> None:
    player.page.get_by_label("Tempo, in percent").fill(str(percent))


@pytest.mark.parametrize("percent", [50, 75, 150])
def test_another_tempo_keeps_the_pitch_and_moves_the_beats(player: Visit, percent: int) -> None:
    set_tempo(player, percent)

    heard = hear(player, 5).sum(axis=0)

    assert loudest_hz(heard[RATE : 3 * RATE]) == pytest.approx(TONE_HZ, abs=1)
    times = beats(heard)
    assert len(times) >= 8
    expected = (np.arange(len(times)) + 1) * BEAT_SECONDS * 100 / percent
    assert np.abs(times - expected).max() < JITTER_SECONDS


@pytest.mark.parametrize(("button", "times", "tempo"), [("up", 2, 100), ("down", 5, 100), ("up", 6, 70)])
def test_transposing_moves_the_pitch_and_keeps_the_beats(player: Visit, button: str, times: int, tempo: int) -> None:
    set_tempo(player, tempo)
    for _ in range(times):
        player.press(f"Transpose {button}")

    heard = hear(player, 5)

    pitched = heard[[0, 2, 3]].sum(axis=0)
    shifted = TONE_HZ * SEMITONE ** (times if button == "up" else -times)
    assert loudest_hz(pitched[RATE : 3 * RATE]) == pytest.approx(shifted, abs=1)
    drums = beats(heard[1])
    assert np.abs(drums - (np.arange(len(drums)) + 1) * BEAT_SECONDS * 100 / tempo).max() < JITTER_SECONDS
    assert len(drums) >= 8


def test_tracks_that_are_stretched_stay_in_step_to_the_sample(player: Visit) -> None:
    """All tracks are cut at the same places: a copy of a channel at half the volume stays that."""
    different = player.page.evaluate("""async () => {
      const { src } = document.querySelector("script");
      const { Splicer } = await import(src.replace("app.js", "player/stretch/worker/splicer.js"));
      const splicer = new Splicer(0.7, 2, 44100);
      const noise = Float32Array.from({ length: 44100 }, () => Math.random() - 0.5);
      const [one, other] = splicer.push([noise, noise.map((sample) => sample / 2)]);
      return [one.length, Math.max(...one.map((sample, i) => Math.abs(sample - 2 * other[i])))];
    }""")

    length, difference = different
    assert length > RATE
    assert difference < 1e-6


def test_the_tempo_can_be_changed_while_the_song_plays_and_the_position_follows_it(player: Visit) -> None:
    now = "() => [gains[0].context.currentTime, document.querySelector('.position').valueAsNumber]"
    player.press("Play")
    player.until(lambda: player.position() > 0.5)

    set_tempo(player, 50)

    player.until(lambda: player.page.locator(".play").get_attribute("aria-busy") == "false")
    player.until(lambda: player.position() > 0.9)
    time, position = player.page.evaluate(now)
    player.until(lambda: player.position() > position + 1)
    later, further = player.page.evaluate(now)
    assert (further - position) / (later - time) == pytest.approx(0.5, abs=0.05)


def test_a_stretched_loop_repeats_and_a_stretched_song_ends(player: Visit) -> None:
    set_tempo(player, 80)
    player.page.get_by_label("Loop start").fill("4.9")
    player.page.get_by_label("Loop end").fill("5.4")
    player.page.get_by_label("Loop end").blur()
    positions: list[float] = []

    def has_returned_three_times() -> bool:
        positions.append(player.position())
        return bool(np.count_nonzero(np.diff(positions) < -0.3) >= 3)

    player.press("Play")
    player.until(lambda: player.position() >= 4.9)
    player.until(has_returned_three_times)
    assert all(4.89 <= each <= 5.41 for each in positions)

    player.press("Loop")
    player.page.get_by_label("Position", exact=True).fill("11.5")
    player.until(lambda: player.position() == 0)


def test_a_link_holds_the_tempo_and_the_transposition(player: Visit, songhash: str) -> None:
    set_tempo(player, 70)
    for _ in range(2):
        player.press("Transpose down")
    link = player.page.get_by_role("link", name="Copy link")
    link.focus()
    href = link.get_attribute("href") or ""
    assert href == f"#song={songhash}&tempo=0.7&transpose=-2"

    player.open(href)
    player.page.reload()
    player.page.locator(".player canvas").nth(4).wait_for()

    assert player.page.get_by_label("Tempo, in percent").input_value() == "70"
    assert player.page.locator(".key-text").inner_text() == "\N{MINUS SIGN}2"
