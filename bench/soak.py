"""`python -m bench.soak`: a song of three hours through the whole service, with `lite`.

Ends with one line and exit status 0 only where every stem has the song's exact length and the worker's memory
did not grow by more than a tenth over that of a song of five minutes.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import requests

from bench import material
from local import Service
from msas.models import LITE
from msas.settings import Settings
from msas_client import Client
from worker.decode import Mixture

SHORT, LONG = 5 * 60, 180 * 60  # seconds
KBITS = 128  # three hours of it stay below MAX_UPLOAD_MB
MOST_GROWTH = 1.1


def main() -> int:
    """Run both songs; return the exit status."""
    settings = Settings.from_environment()
    cache = settings.cache_dir.expanduser()
    songs = {seconds: material.song(cache, seconds, KBITS) for seconds in (SHORT, LONG)}
    with tempfile.TemporaryDirectory(prefix="msas-soak-") as folder:
        out = Path(folder)
        with Service(out / "data", None, {"MODEL_NAME": LITE.name}) as service, Client(service.address) as client:
            print(f"{SHORT // 60} minutes ...", flush=True)
            short, _ = _separated(service, client, songs[SHORT], out)
            print(f"{LONG // 60} minutes ...", flush=True)
            since = time.monotonic()
            long, lengths = _separated(service, client, songs[LONG], out)
            took = time.monotonic() - since
    wrong = sum(length != LONG * material.RATE for length in lengths)
    growth = long["peak_rss_mb"] / short["peak_rss_mb"]
    print(
        f"soak: minutes={LONG // 60} stems={len(lengths)} wrong_length={wrong} sum_db={long['sum_db']} "
        f"rss_mb={long['peak_rss_mb']:.0f} rss_growth={growth:.3f} seconds={took:.0f}"
    )
    return 0 if len(lengths) == len(LITE.stems) and not wrong and growth <= MOST_GROWTH else 1


def _separated(service: Service, client: Client, song: Path, out: Path) -> tuple[dict[str, Any], list[int]]:
    """Separate `song`; return the report and each stem's length in samples, counted by decoding it."""
    songhash = client.separate(song)
    client.wait(songhash)
    report = requests.get(f"{service.url}/apiv1/status/{songhash}", timeout=10).json()["report"]
    lengths = []
    for track in client.status(songhash).tracks:
        [path] = client.download(songhash, out, track.name)
        lengths.append(Mixture.open(path).survey(material.RATE).length)
        path.unlink()
    client.remove(songhash)
    return report, lengths


if __name__ == "__main__":
    sys.exit(main())
