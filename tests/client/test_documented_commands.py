"""Every line of shell and Python in README.md, docs/api.md and docs/client.md works against the service."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import Service
from msas_client import Client
from tests.support.audio import RATE, true_waves, write
from tests.support.manifests import ROOT

PAGES = ("README.md", "docs/api.md", "docs/client.md")
ADDRESS = "localhost:5000"  # what the documents say


def blocks(page: str, language: str) -> list[str]:
    """Return the contents of the page's fenced blocks in this language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A reader's folder: the repository's .venv and client, and a song of two seconds."""
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "client").symlink_to(ROOT / "client")
    write(tmp_path / "song.mp3", true_waves()["mixture"][:, : 2 * RATE], codec="libmp3lame")
    return tmp_path


@pytest.fixture(autouse=True)
def no_jobs_left(client: Client) -> Iterator[None]:
    """Remove the jobs that the commands left waiting or running."""
    yield
    for songhash in client.queue():
        client.remove(songhash)


@pytest.mark.parametrize("page", PAGES)
def test_the_shell_lines_of_a_page_succeed_in_order(page: str, service: Service, folder: Path) -> None:
    script = "set -euo pipefail\n" + "".join(blocks(page, "sh")).replace(ADDRESS, service.address)

    done = subprocess.run(
        ["bash", "-xc", script],
        cwd=folder,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder), "REST": service.address},
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("page", ["README.md", "docs/client.md"])
def test_the_python_lines_of_a_page_download_the_stems(page: str, service: Service, folder: Path) -> None:
    [code] = blocks(page, "python")

    done = subprocess.run(
        [sys.executable, "-c", code.replace(ADDRESS, service.address)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    assert {path.name for path in (folder / "out").rglob("*.wav")} == {"vocals.wav", "drums.wav"}
