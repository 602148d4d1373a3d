"""The mix of a song of three hours: in bounded memory, and without blocking other callers."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
import requests

from local import Service
from msas.formats import open_encoder
from msas.options import Options
from msas.store import Store
from msas_client import Client
from tests.support.audio import RATE, STEMS, true_waves, write
from tests.support.requests import separate

pytestmark = pytest.mark.long
MINUTES = 180
SLICE = 191 * 1152  # samples of five seconds, whole frames, as in peaks.json


@pytest.fixture
def three_hours(service: Service, client: Client, tmp_path: Path) -> str:
    """The songhash of a song whose stems were replaced by longer ones: the frames of a minute, again and again."""
    songhash = separate(client, write(tmp_path / "second.wav", true_waves()["mixture"][:, :RATE]), mp3_bitrate=64)
    store = Store.from_settings(service.settings)
    encoder = open_encoder(Options("lite", mp3_bitrate=64), RATE, 12 * SLICE, {})
    header, minute = encoder.begin(), bytearray()
    for begin in range(0, 12 * SLICE, RATE):
        minute += encoder.encode(true_waves()["mixture"][:, : min(RATE, 12 * SLICE - begin)])
    minute += encoder.end()
    encoder.close()
    stem = header + bytes(minute) * (MINUTES + 1)
    for name in STEMS:
        store.minio.put_object(service.settings.bucket_out, f"{songhash}-{name}.mp3", io.BytesIO(stem), len(stem))
    track = {"peaks": "", "starts": [len(header)]}
    peaks = {"rate": RATE, "samples": MINUTES * 60 * RATE, "slice": SLICE, "tracks": dict.fromkeys(STEMS, track)}
    content = json.dumps({"hash": songhash, "per_peak": 1, **peaks}).encode()
    store.minio.put_object(
        service.settings.bucket_out, f"{songhash}-peaks.json", io.BytesIO(content), len(content), "application/json"
    )
    return songhash


def mixing_processes() -> dict[int, float]:
    """Return the peak memory in MB of each process that mixes on this machine, by its id."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"rest.mix" in (folder / "cmdline").read_bytes():
                found[int(folder.name)] = int(re.findall(r"VmHWM:\s+(\d+)", (folder / "status").read_text())[0]) / 1000
        except (OSError, IndexError):
            continue
    return found


def test_a_mix_of_three_hours_does_not_grow_in_memory_and_blocks_no_other_caller(
    service: Service, client: Client, three_hours: str
) -> None:
    before = set(mixing_processes())
    url = f"{service.url}/apiv1/mix/{three_hours}.mp3"
    received, peaks = 0, []

    with requests.get(url, stream=True, timeout=60) as answer:
        answer.raise_for_status()
        for number, chunk in enumerate(answer.iter_content(1 << 16)):
            received += len(chunk)
            if number % 40 == 0:  # five minutes of mix
                peaks += [mb for pid, mb in mixing_processes().items() if pid not in before]
                assert requests.get(f"{service.url}/healthz", timeout=10).status_code == 200
                assert requests.get(f"{service.url}/apiv1/status/{three_hours}", timeout=10).status_code == 200
    client.remove(three_hours)

    assert received == pytest.approx(MINUTES * 60 * 64_000 / 8, rel=0.001)
    assert max(peaks) < 1.1 * peaks[1], "after five minutes of the mix"
