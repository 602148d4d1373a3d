"""Measures mixes: how fast REST sends the mix of four MP3 stems as MP3, and the memory of the process that makes it."""

from __future__ import annotations

import re
import statistics
import time
from pathlib import Path

import requests

from bench import material
from bench.material import Setup
from bench.rest_speed import family
from local import Service
from msas_client import Client

SECONDS, SHORT_SECONDS, TURNS = 240, 30, 3
_CHUNK, _CHUNKS_BETWEEN_LOOKS = 1 << 16, 8


def measure(setup: Setup) -> dict[str, float]:
    """Mix a song of four minutes three times; compare the memory with that for half a minute of it."""
    variables = {**setup.environment, "MODEL_NAME": "lite"}
    with Service(setup.out / "data", None, variables) as service:
        with Client(service.address) as client:
            songhash = client.separate(material.song(setup.cache, SECONDS)).songhash
            client.wait(songhash, timeout=600)
        service.children["worker"].stop(10)  # it would take the cores from what is measured
        _, short_mb = _mix(service, songhash, SHORT_SECONDS)
        turns = [_mix(service, songhash, SECONDS) for _ in range(TURNS)]
    peak_mb = max(mb for _, mb in turns)
    return {
        "mix_realtime": SECONDS / statistics.median(seconds for seconds, _ in turns),
        "mix_peak_mb": peak_mb,
        "mix_rss_growth": peak_mb / short_mb,
    }


def _mix(service: Service, songhash: str, end: float) -> tuple[float, float]:
    """Download the mix up to `end`, in seconds; return the seconds it took, and its process' peak memory in MB."""
    url, peak_mb = f"{service.url}/apiv1/mix/{songhash}.mp3?end={end}", 0.0
    since = time.monotonic()
    with requests.get(url, stream=True, timeout=60) as answer:
        answer.raise_for_status()
        for number, _ in enumerate(answer.iter_content(_CHUNK)):
            if number % _CHUNKS_BETWEEN_LOOKS == 0:
                peak_mb = max(peak_mb, _peak_mb(service))
    return time.monotonic() - since, peak_mb


def _peak_mb(service: Service) -> float:
    """Return the most memory that the process that mixes has held, in MB; 0 where there is none any more."""
    for pid, status in family(service).items():
        if b"rest.mix" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1000
    return 0.0
