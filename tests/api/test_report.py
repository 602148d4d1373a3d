"""The report on a job: in its status, and beside its stems."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from local import Service
from msas.store import Store
from msas_client import Client
from tests.support.audio import RATE, true_waves, write


def separated(client: Client, song: Path, **options: Any) -> tuple[str, dict[str, Any]]:
    songhash = client.separate(song, **options).songhash
    client.wait(songhash, timeout=60)
    return songhash, requests.get(f"{client.url}/apiv1/status/{songhash}", timeout=10).json()


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write(tmp_path / "song.wav", true_waves()["mixture"][:, : 2 * RATE])


def test_it_lies_in_the_bucket_as_the_status_shows_it(client: Client, service: Service, song: Path) -> None:
    songhash, status = separated(client, song)
    stored = Store.from_settings(service.settings).minio.get_object("output", f"{songhash}-report.json")
    assert json.loads(stored.read()) == status["report"]


def test_it_names_each_stems_bytes_and_digest(client: Client, song: Path, tmp_path: Path) -> None:
    songhash, status = separated(client, song)
    paths = client.download(songhash, tmp_path / "stems")
    assert len(paths) == len(status["report"]["stems"]) == 4
    for path in paths:
        told = status["report"]["stems"][path.stem]
        assert told["bytes"] == path.stat().st_size
        assert told["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_it_says_what_ran_on_what_and_for_how_long(client: Client, song: Path) -> None:
    _, status = separated(client, song)
    report = status["report"]
    assert report["model"] == "lite"
    assert len(report["weights"]) == 64
    assert report["device"].startswith(("CPU", "NVIDIA"))
    assert report["precision"] in ("float32", "bfloat16", "float16")
    assert report["song"] == {"seconds": 2.0, "samples": 2 * RATE, "rate": RATE}
    assert list(report["seconds"]) == ["fetching", "decoding", "separating", "encoding", "storing"]
    assert report["real_time_factor"] > 0
    assert report["peak_rss_mb"] > 100


def test_it_says_how_well_the_stems_sum_to_the_song(client: Client, song: Path) -> None:
    _, all_stems = separated(client, song)
    assert all_stems["report"]["sum_db"] > 90
    _, one_stem = separated(client, song, stems=["vocals"])
    assert one_stem["report"]["sum_db"] is None


def test_it_says_by_how_much_stems_were_clipped(client: Client, tmp_path: Path) -> None:
    loud = write(tmp_path / "loud.wav", true_waves()["mixture"][:, 2 * RATE : 4 * RATE] * np.float32(6))
    _, clipped = separated(client, loud, format="wav", bit_depth=16)
    _, kept = separated(client, loud, format="wav", bit_depth=32)
    told = clipped["report"]["stems"].values()
    assert max(stem["peak"] for stem in told) > 1
    assert sum(stem["clipped_samples"] for stem in told) > 0
    assert sum(stem["clipped_samples"] for stem in kept["report"]["stems"].values()) == 0


def test_it_goes_with_the_song(client: Client, service: Service, song: Path) -> None:
    songhash, _ = separated(client, song, mp3_bitrate=64)
    client.remove(songhash)
    left = Store.from_settings(service.settings).minio.list_objects("output", prefix=songhash)
    assert not list(left)
