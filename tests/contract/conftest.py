"""A song of fixed bytes, and the same song separated by the service."""

from __future__ import annotations

import wave
from pathlib import Path

import pytest

from local import Service
from msas_client import Client


@pytest.fixture(scope="session")
def fixed_song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WAV file of half a second, alone in its folder, always with the same bytes."""
    path = tmp_path_factory.mktemp("fixed") / "song.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 1, 8000, 0, "NONE", ""))
        file.writeframes(b"frozen--" * 500)
    return path


@pytest.fixture(scope="module")
def separated(service: Service, fixed_song: Path) -> str:
    """The songhash of the fixed song, which the service has separated with the default options."""
    with Client(service.address) as client:
        job = client.separate(fixed_song)
        client.wait(job, timeout=300)
    return job.songhash
