"""What the tests of the page share: the browser, and the service of tests/support/service.py."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, sync_playwright

from local import Service
from tests.page import CHROMIUM
from tests.page.visit import Visit, visiting
from tests.support.audio import RATE, Wave, true_waves, write

_numbers = itertools.count(1)


def novel(wave: Wave) -> Wave:
    """Return it a little softer, each time by a little more: a song that the service never saw."""
    return wave * np.float32(0.99 ** next(_numbers))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=f"/usr/bin/{CHROMIUM}", args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def visit(browser: Browser, service: Service) -> Iterator[Visit]:
    with visiting(browser, service.url) as opened:
        opened.go()
        opened.ready()
        yield opened


@pytest.fixture
def short(tmp_path: Path) -> Path:
    """A song that is separated at once."""
    return write(tmp_path / "short.wav", true_waves()["mixture"][:, RATE : 3 * RATE])


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """A song that takes some seconds: two minutes. No other test had it."""
    return write(tmp_path / "long.mp3", np.tile(novel(true_waves()["mixture"]), 20), codec="libmp3lame")
