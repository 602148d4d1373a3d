"""What the measurements work on: songs of any length, and a Demucs of full size with random weights."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import torch
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from demucs.htdemucs import HTDemucs
from demucs.states import save_with_checksum

from local.demo import default_song
from worker.decode import Mixture

RATE = 44100
SIZED = "sized"
_SOURCES = ["drums", "bass", "other", "vocals"]


def song(folder: Path, seconds: float) -> Path:
    """Return an MP3 (320 kbit/s) of `seconds`: the stempeg song again and again, each time a little quieter."""
    path = folder / f"song-{seconds:g}s.mp3"
    if path.is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    once = list(Mixture.open(default_song()).blocks(RATE))
    left, turn = round(seconds * RATE), 0
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libmp3lame", rate=RATE, layout="stereo", bit_rate=320_000)
        assert isinstance(stream, AudioStream)
        stream.codec_context.format = "fltp"
        while left > 0:
            for block in once:
                part = block[:, :left] * (1 - 0.05 * (turn % 10))
                left -= part.shape[1]
                if part.shape[1]:
                    frame = AudioFrame.from_ndarray(part.astype("float32"), format="fltp", layout="stereo")
                    frame.sample_rate = RATE
                    container.mux(stream.encode(frame))
            turn += 1
        container.mux(stream.encode(None))
    return path


def model_repo(cache: Path) -> Path:
    """Return a folder with the model SIZED: htdemucs' own shape (41,984,456 parameters), random weights, made once."""
    folder = cache / "bench-models"
    if not list(folder.glob(f"{SIZED}-*.th")):
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(0)
        kwargs = {"segment": Fraction(39, 5), "dconv_mode": 3, "bottom_channels": 512}
        model = HTDemucs(_SOURCES, **kwargs).eval()
        package = {"klass": HTDemucs, "args": (_SOURCES,), "kwargs": kwargs, "state": model.state_dict()}
        save_with_checksum(package, folder / f"{SIZED}.th")  # type: ignore[no-untyped-call]
    return folder
