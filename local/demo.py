"""The demo: start everything, separate one real song over HTTP, say where the stems are."""

from __future__ import annotations

import tempfile
import time
from functools import partial
from importlib.metadata import distribution
from pathlib import Path

from local.service import Service
from msas_client.batch import Batch, BatchItem
from msas_client.client import Client

_DEFAULT_SONG = "stempeg/data/The Easton Ellises - Falcon 69.stem.mp4"


def default_song() -> Path:
    """Return the path of the song, 6 s in five streams, that the stempeg wheel carries (its code is not used)."""
    return Path(str(distribution("stempeg").locate_file(_DEFAULT_SONG)))


def demo(song: Path | None, out: Path, model: str | None) -> int:
    """Separate `song` (the one in the stempeg wheel by default) into `out`; return the exit status."""
    song = song or default_song()
    if not song.is_file():
        print(f"There is no song file {song}; give one: make demo SONG=path")
        return 1
    print("Starting Redis, the store, a worker and REST ...", flush=True)
    began = time.monotonic()
    environment = {"MODEL_NAME": model} if model else {}
    with tempfile.TemporaryDirectory(prefix="msas-demo-") as data, Service(Path(data), None, environment) as service:
        used = service.model()
        print(f"MSaaS is up at {service.url} after {time.monotonic() - began:.1f} s.")
        print(f"  model   {used['name']}: {used['about']}\n{service.why_lite()}", flush=True)
        began = time.monotonic()
        with Client(service.address) as client:
            status = Batch(client, out, [BatchItem(str(song), song.name, partial(client.separate, song))]).run()
        seconds = time.monotonic() - began
    if status:
        print("\nThe song was not separated; the reason is above.")
    else:
        print(f"\nSeparated {song.name!r} with the model {used['name']} in {seconds:.1f} s.")
        print("Its stems are the files above.")
    return status
