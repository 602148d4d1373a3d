"""`make screenshots`: take the pictures of docs/page.md and README.md, and draw the icons as PNGs."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from local import Service
from local.servers import free_ports
from msas_client import Client
from tests.page import CHROMIUM
from tests.support.audio import true_waves, write

ROOT = Path(__file__).parents[2]
ICONS = ROOT / "rest/web/icons"
DESKTOP = {"width": 1200, "height": 800}
PHONE = {"width": 390, "height": 844}
REPETITIONS = 4  # of the six seconds of song at hand


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=f"/usr/bin/{CHROMIUM}", args=["--no-sandbox"])
        take_icons(browser)
        song = write(Path(folder) / "Falcon 69.flac", np.tile(true_waves()["mixture"], REPETITIONS), codec="flac")
        environment = {"MODEL_NAME": "lite"}
        with (
            Service(Path(folder) / "data", free_ports(1)[0], environment) as service,
            Client(service.address) as client,
        ):
            songhash = client.separate(song, wait=True).songhash
            take_page(browser, service.url, songhash)


def take_page(browser: Browser, url: str, songhash: str) -> None:
    """Take the page without songs, the player on a desktop in both themes, zoomed, and on a phone."""
    link = f"{url}/#song={songhash}&t=9.5&mute=vocals&loop=6.08-12.16&tempo=0.8&transpose=2"
    for name, size, theme, address in (
        ("page-empty", DESKTOP, "light", url),
        ("page", DESKTOP, "light", link),
        ("page-dark", DESKTOP, "dark", link),
        ("page-phone", PHONE, "dark", link),
    ):
        page = browser.new_page(viewport=size, color_scheme=theme, device_scale_factor=1.5)  # type: ignore[arg-type]
        page.goto(address)
        page.locator("#model option").first.wait_for(state="attached")
        if address == link:
            open_player(page)
        page.screenshot(path=ROOT / f"docs/{name}.png")
        page.close()


def open_player(page: Page) -> None:
    page.locator(".player canvas").nth(4).wait_for()
    page.locator(".song").scroll_into_view_if_needed()
    page.wait_for_timeout(500)  # the canvases are painted in the next frames


def take_icons(browser: Browser) -> None:
    """Draw the icon as PNGs; a maskable one has no corners of its own, and a margin that a mask may cut off."""
    icon = (ICONS / "icon.svg").read_text()
    maskable = icon.replace('rx="7"', "").replace(
        'viewBox="0 0 32 32"', 'viewBox="-6 -6 44 44" style="background:#20242e"'
    )
    for name, size, drawing in (("icon-192", 192, icon), ("icon-512", 512, icon), ("maskable-512", 512, maskable)):
        page = browser.new_page(viewport={"width": size, "height": size})
        style = "<style>body { margin: 0 } svg { display: block; width: 100vw; height: 100vh }</style>"
        page.set_content(style + drawing)
        page.screenshot(path=ICONS / f"{name}.png", omit_background=True)
        page.close()


if __name__ == "__main__":
    main()
