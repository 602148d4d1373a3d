"""An hour of song through the whole service, with lite: its stems line up to the last second, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests

from local import Service
from local.servers import free_ports
from msas.formats import open_encoder
from msas.options import Options
from msas_client import Client
from tests.support.audio import RATE, STEMS, Wave, snr_db, true_waves
from worker.pipeline.decode import DecodableSong

pytestmark = pytest.mark.long
MINUTE = 60 * RATE  # samples


@pytest.fixture
def fresh_service(tmp_path: Path) -> Iterator[Service]:
    """A service of this test's own, whose worker has separated nothing yet."""
    with Service(tmp_path / "service", free_ports(1)[0], {"MODEL_NAME": "lite"}) as running:
        yield running


def song_of(minutes: int, path: Path) -> Path:
    """Write an MP3 of exactly so many minutes: the stempeg song, over and over."""
    wave, length = true_waves()["mixture"], minutes * MINUTE
    encoder = open_encoder(Options("lite", mp3_bitrate=128), RATE, length, {})
    with path.open("wb") as file:
        file.write(encoder.begin())
        for begin in range(0, length, wave.shape[1]):
            file.write(encoder.encode(wave[:, : length - begin]))
        file.write(encoder.end())
    encoder.close()
    return path


def length_and_end(path: Path) -> tuple[int, Wave]:
    """Return how many samples the file has, and its last three seconds or a little more."""
    length, last = 0, deque[Wave](maxlen=4)
    for block in DecodableSong.open(path).blocks(RATE):
        length += block.shape[1]
        last.append(block)
    return length, np.concatenate(last, axis=1)[:, -3 * RATE :]


def peak_mb(service: Service, songhash: str) -> float:
    """Return the peak memory of the worker, in MB, as the job's report says."""
    answer = requests.get(f"{service.url}/apiv1/status/{songhash}", timeout=10).json()
    return float(answer["report"]["peak_rss_mb"])


def test_an_hour_of_song_has_stems_of_its_length_that_sum_to_it_at_its_end(
    fresh_service: Service, tmp_path: Path
) -> None:
    song = song_of(60, tmp_path / "hour.mp3")

    with Client(fresh_service.address) as client:
        songhash = client.separate(song).songhash
        client.wait(songhash, timeout=3600)
        paths = client.download(songhash, tmp_path / "stems")

    ends = []
    for path in paths:
        length, end = length_and_end(path)
        assert length == 60 * MINUTE, path.name
        ends.append(end)
    assert len(ends) == len(STEMS)
    assert snr_db(length_and_end(song)[1], np.sum(ends, axis=0)) > 25


def test_half_an_hour_of_song_needs_hardly_more_memory_than_three_minutes(
    fresh_service: Service, tmp_path: Path
) -> None:
    with Client(fresh_service.address) as client:
        peaks = []
        for minutes in (3, 30):
            songhash = client.separate(song_of(minutes, tmp_path / f"{minutes}.mp3")).songhash
            client.wait(songhash, timeout=3600)
            peaks.append(peak_mb(fresh_service, songhash))

    assert peaks[1] < 1.15 * peaks[0]
