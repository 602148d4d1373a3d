"""Measures how much memory a worker needs, and whether that grows with the song, up to three hours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import requests

from bench import material
from bench.contestant import Contestant
from bench.material import Setup
from local import Service
from msas.models import LITE
from msas_client import Client
from worker.pipeline.decode import DecodableSong

SHORT, LONG, HOUR = 1, 5, 60  # minutes
MARATHON_SHORT, MARATHON = 5, 180  # minutes
MARATHON_KBITS = 128  # three hours of it stay below MAX_UPLOAD_MB


def measure(setup: Setup) -> dict[str, float]:
    """Compare a song of five minutes with one of one minute, separated by `lite`."""
    short, long = (_peak_mb(setup, LITE.name, minutes) for minutes in (SHORT, LONG))
    return {f"rss_mb_{SHORT}min": short, f"rss_mb_{LONG}min": long, "rss_growth": long / short}


def measure_hour(setup: Setup) -> dict[str, float]:
    """Compare a song of an hour with one of five minutes: by `lite`, then by a full-size Demucs."""
    found: dict[str, float] = {}
    for model, prefix in ((LITE.name, ""), (material.SIZED, "demucs_")):
        short, long = (_peak_mb(setup, model, minutes) for minutes in (LONG, HOUR))
        found |= {
            f"{prefix}rss_mb_{LONG}min": short,
            f"{prefix}rss_mb_{HOUR}min": long,
            f"{prefix}rss_growth_hour": long / short,
        }
    return found


def measure_marathon(setup: Setup) -> dict[str, float]:
    """Send a song of five minutes, then one of three hours, through the whole service with `lite`.

    Count the stems whose length differs from the long song's; compare the worker's memory.
    """
    songs = [material.song(setup.cache, minutes * 60, MARATHON_KBITS) for minutes in (MARATHON_SHORT, MARATHON)]
    variables = {**setup.on_cpu, "MODEL_NAME": LITE.name}
    with Service(setup.out / "data", None, variables) as service, Client(service.address) as client:
        (short, _), (long, lengths) = (_separate(service, client, song, setup.out) for song in songs)
    return {
        "marathon_wrong_lengths": sum(length != MARATHON * 60 * material.RATE for length in lengths),
        "marathon_rss_mb": long["peak_rss_mb"],
        "marathon_rss_growth": long["peak_rss_mb"] / short["peak_rss_mb"],
    }


def _peak_mb(setup: Setup, model: str, minutes: int) -> float:
    """Return the peak memory of a fresh process that separates a song of so many minutes, in MB."""
    with Contestant("ours", model, setup.on_cpu) as ours:
        return ours.run(material.song(setup.cache, minutes * 60), setup.out)["peak_rss_mb"]


def _separate(service: Service, client: Client, song: Path, out: Path) -> tuple[dict[str, Any], list[int]]:
    """Separate `song`; return the report and each stem's length in samples, counted by decoding it."""
    songhash = client.separate(song).songhash
    client.wait(songhash)
    report = requests.get(f"{service.url}/apiv1/status/{songhash}", timeout=10).json()["report"]
    lengths = []
    for track in client.status(songhash).tracks:
        [path] = client.download(songhash, out, track.name)
        lengths.append(DecodableSong.open(path).survey(material.RATE).length)
        path.unlink()
    client.remove(songhash)
    return report, lengths
