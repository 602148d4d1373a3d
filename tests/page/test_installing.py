"""The page as an installed application: its manifest, its icons, and what it says offline."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from urllib.parse import urljoin

import pytest
import requests

import rest.web
from local import Service
from tests.page.visit import Visit


def test_the_manifest_names_icons_of_the_sizes_that_it_says(visit: Visit, service: Service) -> None:
    address = urljoin(service.url, visit.page.locator("link[rel=manifest]").get_attribute("href") or "")
    answer = requests.get(address, timeout=10)
    manifest = answer.json()

    assert answer.headers["Content-Type"].startswith("application/manifest+json")
    assert (manifest["start_url"], manifest["display"]) == ("/", "standalone")
    assert {icon.get("purpose", "any") for icon in manifest["icons"]} == {"any", "maskable"}
    for icon in manifest["icons"]:
        file = requests.get(urljoin(address, icon["src"]), timeout=10)
        assert file.headers["Content-Type"].partition(";")[0] == icon["type"]
        if icon["type"] == "image/png":
            width, height = struct.unpack(">II", file.content[16:24])
            assert icon["sizes"] == f"{width}x{height}"


def test_chromium_finds_nothing_that_keeps_the_page_from_being_installed(visit: Visit) -> None:
    session = visit.page.context.new_cdp_session(visit.page)

    errors = session.send("Page.getInstallabilityErrors")["installabilityErrors"]

    assert [each["errorId"] for each in errors if each["errorId"] != "in-incognito"] == []


def test_a_visit_while_the_service_is_away_says_so_and_the_next_one_is_the_page(visit: Visit) -> None:
    visit.page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    visit.page.reload()
    visit.wait_until_ready()

    visit.page.context.set_offline(True)
    visit.page.reload()
    assert visit.page.get_by_role("heading").inner_text() == "MSaaS can't be reached"

    visit.page.context.set_offline(False)
    visit.page.get_by_role("link", name="Try again").click()
    visit.wait_until_ready()
    visit.failed.clear()  # the browser itself logs the network


@pytest.mark.parametrize(("folder", "most"), [("", 150_000), ("third_party", 150_000)])
def test_the_scripts_and_styles_are_small(folder: str, most: int) -> None:
    """All of them, also what the first load leaves out, as they are sent."""
    root = Path(rest.web.__file__).parent / folder
    files = [path for path in root.rglob("*") if path.suffix in (".css", ".html", ".js", ".svg", ".webmanifest")]

    assert sum(len(gzip.compress(path.read_bytes())) for path in files) < most
