"""What GET /apiv1/models says of each model, from what workers offer and measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests

from local import Service
from msas.models import LITE
from msas.queue import ModelSpeeds, Queue
from msas.settings import Settings
from msas_client import Client
from rest.app import create_app
from tests.support.audio import write
from tests.support.offers import advertise_models
from tests.support.processes import eventually
from tests.support.requests import separate
from tests.support.synthesis import noise


def read(service: Service) -> dict[str, Any]:
    answer: dict[str, Any] = requests.get(f"{service.url}/apiv1/models", timeout=60).json()
    return answer


def test_models_have_their_licence_size_and_quality_and_whether_they_are_cached(service: Service) -> None:
    found = {model["name"]: model for model in read(service)["models"]}

    lite = found["lite"]
    assert (lite["licence"], lite["origin"], lite["size_mb"]) == ("MIT", LITE.origin, LITE.size_mb)
    assert lite["quality"] == LITE.quality
    assert lite["cached"] is True
    assert found["small"]["licence"] == ""
    assert found["small"]["origin"] == "a folder of this deployment (MODEL_REPO)"


def test_a_worker_measures_the_seconds_for_a_minute_with_each_song_of_20_s(
    service: Service, client: Client, tmp_path: Path
) -> None:
    song = tmp_path / "song.wav"
    write(song, noise(21.0, seed=23), codec="pcm_s16le")

    separate(client, song, model="small")

    eventually(lambda: {m["name"]: m["seconds_per_minute"] for m in read(service)["models"]}["small"])


@pytest.mark.parametrize(("device", "expected"), [("CPU, 2 threads", 5.25), ("NVIDIA H200", None)])
def test_seconds_for_a_minute_are_those_that_were_measured_on_such_workers(
    settings: Settings, queue: Queue, device: str, expected: float | None
) -> None:
    advertise_models(queue, {"models": [vars(LITE)], "default": "lite", "cached": [], "device": "CPU, 2 threads"})
    ModelSpeeds(queue).record("lite", device, 5.25)

    [found] = create_app(settings).test_client().get("/apiv1/models").get_json()["models"]

    assert (found["seconds_per_minute"], found["cached"]) == (expected, False)


def test_an_offer_of_an_older_or_a_newer_worker_is_read(settings: Settings, queue: Queue) -> None:
    old = {"name": "old", "stems": ["vocals"], "about": "Of the release before."}
    new = {**vars(LITE), "name": "new", "unheard": "of"}
    advertise_models(queue, {"models": [old, new], "default": "old"})

    found = create_app(settings).test_client().get("/apiv1/models").get_json()["models"]

    assert [model["name"] for model in found] == ["old", "new"]
    assert found[0]["licence"] == ""
    assert found[0]["size_mb"] is None
