"""A store that is nearly full: songs are refused before their upload, and metrics and /models say so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from local import Service
from msas.models import Model
from msas.queue import Leader
from tests.support.fake_engine import STEMS
from tests.support.offers import advertise_models
from tests.support.processes import eventually
from tests.support.requests import problem
from tests.support.rig import Rig, new_song


@pytest.fixture(scope="module")
def rig(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder: Path = tmp_path_factory.mktemp("full") / "rig"
    with Rig(folder, service.settings, reconcile_seconds=3600.0, max_store_gb=1.0) as running:
        advertise_models(running.queue, {"models": [vars(Model("quick", STEMS, ""))], "default": "quick"})
        running.rest()
        yield running


def fill(rig: Rig, share: float) -> None:
    """Let the store hold this share of what it may, and REST learn of it."""
    Leader(rig.queue, 60, "counter").record_upkeep(stored_bytes=round(share * 1e9))
    eventually(lambda: metric(rig, "msas_store_bytes") == share * 1e9)


def metric(rig: Rig, name: str) -> float:
    text = requests.get(f"{rig.url}/metrics", timeout=30).text
    found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    assert found, f"{name} is exported"
    return float(found[1])


def has_room(rig: Rig) -> bool:
    return bool(requests.get(f"{rig.url}/apiv1/models", timeout=30).json()["room"])


def test_a_song_is_refused_with_503_and_a_time_to_come_back_above_95_percent(rig: Rig) -> None:
    fill(rig, 0.951)

    answer = rig.posted()

    assert problem(answer) == (503, "store_full")
    assert int(answer.headers["Retry-After"]) == 60
    assert "1.0 GB" in answer.json()["detail"]
    assert not has_room(rig)


def test_nothing_of_a_song_that_a_full_store_refuses_is_stored(rig: Rig) -> None:
    fill(rig, 2.0)
    before = list(rig.store.list_objects(rig.store.bucket_in, after="-"))

    assert problem(rig.posted()) == (503, "store_full")

    assert list(rig.store.list_objects(rig.store.bucket_in, after="-")) == before


def test_a_song_is_taken_up_to_95_percent_and_counted(rig: Rig) -> None:
    fill(rig, 0.95)
    assert has_room(rig)

    answer = rig.posted()

    assert answer.status_code == 200
    eventually(lambda: metric(rig, "msas_store_bytes") > 0.95 * 1e9)


def test_a_song_is_noted_for_the_leader_before_it_is_stored_unless_it_is_known(rig: Rig) -> None:
    fill(rig, 0)
    content, key = new_song(), f"{rig.queue.prefix}received"
    songhash = rig.posted(content).json()["hash"]
    noted = rig.queue.redis.zscore(key, songhash)
    rig.queue.redis.zrem(key, songhash)

    assert rig.posted(content).json()["hash"] == songhash

    assert noted
    assert rig.queue.redis.zscore(key, songhash) is None


def test_the_bound_is_exported_beside_the_bytes(rig: Rig) -> None:
    assert metric(rig, "msas_store_max_bytes") == 1e9
