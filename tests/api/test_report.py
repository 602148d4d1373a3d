"""The report on a job: in its status, and beside its stems."""

from __future__ import annotations

import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from local import Service
from msas.store import Store
from msas_client import Client
from tests.support.audio import RATE, true_waves, write
from tests.support.requests import separate
from tests.support.synthesis import synthesize


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("song") / "song.wav", true_waves()["mixture"][:, :RATE])


@pytest.fixture(scope="module")
def separated(client: Client, song: Path) -> str:
    """The songhash of the song, separated with the default options."""
    return separate(client, song)


def report(client: Client, songhash: str) -> dict[str, Any]:
    """Return the report in the job's status."""
    found: dict[str, Any] = requests.get(f"{client.url}/apiv1/status/{songhash}", timeout=10).json()["report"]
    return found


def test_the_report_in_the_bucket_is_the_one_in_the_status(client: Client, service: Service, separated: str) -> None:
    stored = Store.from_settings(service.settings).minio.get_object("output", f"{separated}-report.json")

    assert json.loads(stored.read()) == report(client, separated)


def test_the_report_names_each_stems_bytes_and_digests(client: Client, separated: str, tmp_path: Path) -> None:
    contents = {path.stem: path.read_bytes() for path in client.download(separated, tmp_path)}

    stems = report(client, separated)["stems"]

    expected = {
        name: (len(content), hashlib.sha256(content).hexdigest(), f"{zlib.crc32(content):08x}")
        for name, content in contents.items()
    }
    assert len(stems) == 4
    assert {name: (stem["bytes"], stem["sha256"], stem["crc32"]) for name, stem in stems.items()} == expected


def test_the_report_says_what_ran_on_which_device_for_how_long(client: Client, separated: str) -> None:
    found = report(client, separated)

    assert found["model"] == "lite"
    assert len(found["weights"]) == 64
    assert found["device"].startswith(("CPU", "NVIDIA"))
    assert found["precision"] in ("float32", "bfloat16", "float16")
    assert found["song"] == {"seconds": 1.0, "samples": RATE, "rate": RATE}
    assert list(found["seconds"]) == ["fetching", "decoding", "separating", "encoding", "storing"]
    assert found["real_time_factor"] > 0
    assert found["peak_rss_mb"] > 100


def test_the_report_says_how_well_all_stems_sum_to_the_song(client: Client, separated: str) -> None:
    assert report(client, separated)["sum_db"] > 90


def test_the_report_on_some_of_the_stems_has_no_sum(client: Client, song: Path) -> None:
    songhash = separate(client, song, stems=["vocals"])

    assert report(client, songhash)["sum_db"] is None


@pytest.mark.parametrize(("bit_depth", "clips"), [(16, True), (32, False)])
def test_the_report_counts_clipped_samples_where_the_format_clips(
    client: Client, tmp_path: Path, bit_depth: int, clips: bool
) -> None:
    loud = write(tmp_path / "loud.wav", true_waves()["mixture"][:, 2 * RATE : 3 * RATE] * np.float32(6))

    stems = report(client, separate(client, loud, format="wav", bit_depth=bit_depth))["stems"].values()

    assert max(stem["peak"] for stem in stems) > 1
    assert (sum(stem["clipped_samples"] for stem in stems) > 0) == clips


def test_the_status_of_a_song_has_its_tempo_and_its_key(client: Client, tmp_path: Path) -> None:
    stems = synthesize(96, "E minor", 15)
    song = write(tmp_path / "song.wav", np.sum(list(stems.values()), axis=0))

    songhash = separate(client, song)

    status, found = client.status(songhash), report(client, songhash)
    assert status.tempo_bpm == pytest.approx(96, abs=0.5)
    assert status.key == "E minor"
    fields = ("tempo_bpm", "tempo_confidence", "key", "key_confidence")
    assert {name: found[name] for name in fields} == {name: getattr(status, name) for name in fields}


def test_the_status_of_a_second_of_song_has_neither_tempo_nor_key(client: Client, separated: str) -> None:
    status = client.status(separated)

    assert (status.tempo_bpm, status.tempo_confidence, status.key, status.key_confidence) == (None, None, None, None)
    assert not {"tempo_bpm", "key"} & set(report(client, separated))


def test_a_removed_song_has_no_report_in_the_bucket(client: Client, service: Service, song: Path) -> None:
    songhash = separate(client, song, mp3_bitrate=64)

    client.remove(songhash)

    left = Store.from_settings(service.settings).minio.list_objects("output", prefix=songhash)
    assert not list(left)
