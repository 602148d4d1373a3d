"""The browser and the songs of the page tests; the service is that of tests/support/service.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, sync_playwright

from local import Service
from tests.page import CHROMIUM
from tests.page.songs import unseen_song
from tests.page.visit import Visit, visiting
from tests.support.audio import RATE, true_waves, write


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=f"/usr/bin/{CHROMIUM}", args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def visit(browser: Browser, service: Service) -> Iterator[Visit]:
    with visiting(browser, service.url) as opened:
        opened.open()
        opened.wait_until_ready()
        yield opened


@pytest.fixture
def short(tmp_path: Path) -> Path:
    """A song of two seconds."""
    return write(tmp_path / "short.wav", true_waves()["mixture"][:, RATE : 3 * RATE])


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """A new song of two minutes, whose separation lasts for many times as long as a reload of the page."""
    return write(tmp_path / "long.flac", np.tile(unseen_song(true_waves()["mixture"]), 20), codec="flac")
