"""Links that open a song at a place with a mix and a loop."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from local import Service
from msas_client import Client
from tests.page.visit import Visit, visiting
from tests.support.audio import true_waves, write


@pytest.fixture(scope="module")
def songhash(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A song of six seconds."""
    job = client.separate(write(tmp_path_factory.mktemp("linked") / "song.wav", true_waves()["mixture"]), wait=True)
    yield job.songhash
    client.remove(job)


def open_link(visit: Visit, fragment: str) -> None:
    visit.open(fragment)
    visit.page.locator(".player canvas").nth(4).wait_for()


def pressed(visit: Visit, name: str) -> bool:
    return visit.page.get_by_role("button", name=name, exact=True).get_attribute("aria-pressed") == "true"


def loop(visit: Visit) -> tuple[str, str]:
    start, end = (visit.page.get_by_label(f"Loop {name}") for name in ("start", "end"))
    return start.input_value(), end.input_value()


def test_a_link_opens_a_song_at_its_place_with_its_mix_and_its_loop(visit: Visit, songhash: str) -> None:
    open_link(visit, f"#song={songhash}&t=2.5&mute=vocals&solo=drums,bass&volume=bass:0.4&loop=2-4.25")

    assert visit.position() == pytest.approx(2.5, abs=0.01)
    assert [pressed(visit, f"Mute {stem}") for stem in ("Vocals", "Drums")] == [True, False]
    assert [pressed(visit, f"Solo {stem}") for stem in ("Drums", "Bass", "Other")] == [True, True, False]
    assert visit.page.get_by_label("Volume of Bass").input_value() == "0.4"
    assert pressed(visit, "Loop")
    assert loop(visit) == ("2", "4.25")
    visit.press("Play")
    visit.until(lambda: [level > 0 for level in visit.levels()[:4]] == [False, True, True, False])


def test_a_copied_link_opens_what_was_set_in_another_browser(browser: Browser, service: Service, songhash: str) -> None:
    permissions = ["clipboard-read", "clipboard-write"]
    with visiting(browser, service.url, permissions=permissions) as visit, visiting(browser, service.url) as other:
        open_link(visit, f"#{songhash}")
        visit.page.get_by_label("Position", exact=True).fill("1.5")
        visit.press("Mute Drums")
        visit.page.get_by_label("Volume of Other").fill("0.25")
        visit.press("Original")

        visit.page.get_by_role("link", name="Copy link").click()
        visit.until(lambda: visit.page.get_by_role("link", name="Link copied").count())

        copied = visit.page.evaluate("navigator.clipboard.readText()")
        assert copied == f"{service.url}/#song={songhash}&t=1.5&mute=drums&volume=other:0.25&original=1"
        assert visit.page.url == copied
        open_link(other, copied.removeprefix(service.url))
        assert other.position() == pytest.approx(1.5, abs=0.01)
        assert pressed(other, "Mute Drums")
        assert pressed(other, "Original")
        assert other.page.get_by_label("Volume of Other").input_value() == "0.25"


def test_a_link_that_is_entered_while_its_song_is_open_changes_the_player(visit: Visit, songhash: str) -> None:
    open_link(visit, f"#song={songhash}&mute=vocals")

    visit.page.evaluate("fragment => (location.hash = fragment)", f"#song={songhash}&t=3&mute=bass&loop=3-4")

    visit.until(lambda: pressed(visit, "Mute Bass"))
    assert not pressed(visit, "Mute Vocals")
    assert visit.position() == pytest.approx(3, abs=0.01)
    assert loop(visit) == ("3", "4")


@pytest.mark.parametrize(
    "settings", ["t=-1", "t=1e99x", "mute=horn,,", "volume=bass:7,drums", "loop=5-2", "loop=0-900", "loop=4", "solo="]
)
def test_values_that_the_song_does_not_have_are_ignored(visit: Visit, songhash: str, settings: str) -> None:
    open_link(visit, f"#song={songhash}&{settings}")

    assert visit.position() == 0
    assert visit.page.locator("[aria-pressed=true]").count() == 0
    assert visit.page.get_by_label("Volume of Bass").input_value() == "1"
    assert not visit.page.locator(".player .error").is_visible()


def test_a_position_after_the_end_is_the_end(visit: Visit, songhash: str) -> None:
    open_link(visit, f"#song={songhash}&t=900")

    assert visit.position() == pytest.approx(6.08, abs=0.1)
