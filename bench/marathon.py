"""A song of three hours through the whole service, with `lite`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import requests

from bench import material
from local import Service
from msas.models import LITE
from msas_client import Client
from worker.decode import Mixture

SHORT, LONG = 5 * 60, 180 * 60  # seconds
KBITS = 128  # three hours of it stay below MAX_UPLOAD_MB


def run(cache: Path, out: Path) -> dict[str, float]:
    """Return how many stems have another length than the song, and how the worker's memory grew over that for
    a song of five minutes."""
    songs = {seconds: material.song(cache, seconds, KBITS) for seconds in (SHORT, LONG)}
    with Service(out / "data", None, {"MODEL_NAME": LITE.name}) as service, Client(service.address) as client:
        short, _ = _separated(service, client, songs[SHORT], out)
        long, lengths = _separated(service, client, songs[LONG], out)
    return {
        "marathon_wrong_lengths": sum(length != LONG * material.RATE for length in lengths),
        "marathon_rss_mb": long["peak_rss_mb"],
        "marathon_rss_growth": long["peak_rss_mb"] / short["peak_rss_mb"],
    }


def _separated(service: Service, client: Client, song: Path, out: Path) -> tuple[dict[str, Any], list[int]]:
    """Separate `song`; return the report and each stem's length in samples, counted by decoding it."""
    songhash = client.separate(song).songhash
    client.wait(songhash)
    report = requests.get(f"{service.url}/apiv1/status/{songhash}", timeout=10).json()["report"]
    lengths = []
    for track in client.status(songhash).tracks:
        [path] = client.download(songhash, out, track.name)
        lengths.append(Mixture.open(path).survey(material.RATE).length)
        path.unlink()
    client.remove(songhash)
    return report, lengths
