"""The inputs of the measurements: songs of any length, a Demucs of full size with random weights, and the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from demucs.htdemucs import HTDemucs
from demucs.states import save_with_checksum

from local.demo import default_song
from msas.formats.mp3 import Mp3Encoder
from worker.pipeline.decode import DecodableSong

RATE = 44100
WARM_UP_SECONDS = 6
SIZED = "sized"
_SOURCES = ["drums", "bass", "other", "vocals"]


@dataclass(frozen=True)
class Setup:
    """What every measurement is given: its processes' environment, the cache, a folder for its output, and the
    precision that the worker chooses here."""

    environment: Mapping[str, str]
    cache: Path
    out: Path
    precision: str

    @property
    def on_cpu(self) -> dict[str, str]:
        return {**self.environment, "DEVICE": "cpu"}


def song(cache: Path, seconds: float, kbits: int = 320) -> Path:
    """Return an MP3 of `seconds`: the stempeg song again and again, each time at another level; made once."""
    path = cache / "bench-songs" / f"song-{seconds:g}s-{kbits}.mp3"
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    once = list(DecodableSong.open(default_song()).blocks(RATE))
    left, turn = round(seconds * RATE), 0
    encoder = Mp3Encoder(RATE, left, kbits, {"title": f"{seconds:g} seconds"})
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as file:
        file.write(encoder.begin())
        while left > 0:
            for block in once:
                part = block[:, :left] * (1 - 0.05 * (turn % 10))
                left -= part.shape[1]
                file.write(encoder.encode(part))
            turn += 1
        file.write(encoder.end())
    encoder.close()
    return unfinished.replace(path)


def model_repo(cache: Path) -> Path:
    """Return a folder with the model SIZED: htdemucs' own shape (41,984,456 parameters), random weights, made once."""
    folder = cache / "bench-models"
    if not list(folder.glob(f"{SIZED}-*.th")):
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(0)
        kwargs: dict[str, Any] = {"segment": Fraction(39, 5), "dconv_mode": 3, "bottom_channels": 512}
        model = HTDemucs(_SOURCES, **kwargs).eval()
        package = {"klass": HTDemucs, "args": (_SOURCES,), "kwargs": kwargs, "state": model.state_dict()}
        save_with_checksum(package, folder / f"{SIZED}.th")  # type: ignore[no-untyped-call]
    return folder
