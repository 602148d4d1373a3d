"""Workers that are not all alike: some lack a model, or are replaced by newer ones. FAULTS.md numbers the faults."""

from __future__ import annotations

from typing import Any

import requests

from msas.job import Status
from tests.support.fake_engine import MODELS
from tests.support.processes import eventually
from tests.support.rig import Rig


def attempts(rig: Rig, songs: list[str]) -> list[int]:
    return [rig.job(song).attempt for song in songs]


def offered(rig: Rig) -> set[str]:
    models: Any = requests.get(f"{rig.url}/apiv1/models", timeout=30).json()["models"]
    return {model["name"] for model in models}


def test_songs_for_a_model_that_a_worker_lacks_wait_for_one_that_has_it(rig: Rig) -> None:
    """Fault 54. As beside a worker without the model's weights, or one without a GPU."""
    rig.worker(HAS="quick")
    others = rig.accept("marked", 3)
    quick = rig.accept("quick", 3)
    eventually(lambda: rig.over(quick))
    assert {rig.job(song).status for song in others} == {Status.QUEUED}

    rig.worker(HAS="marked")
    rig.finish([*others, *quick])

    assert attempts(rig, [*others, *quick]) == [1] * 6
    assert [rig.separations(song) for song in [*others, *quick]] == [1] * 6


def test_a_song_whose_only_worker_is_lost_waits_for_another_that_has_its_model(rig: Rig) -> None:
    """Fault 55."""
    rig.worker(HAS="quick")
    able = rig.worker(HAS="sleep-60")
    [song] = rig.accept("sleep-60")
    eventually(lambda: rig.running(song, "separating"))
    able.process.kill()
    able.process.wait()
    rig.expire_lease(able)
    [quick] = rig.accept("quick")

    rig.reclaim_until(lambda: rig.over([quick]) and rig.job(song).status is Status.QUEUED)
    rig.worker(HAS="sleep-60")

    eventually(lambda: rig.running(song) and rig.job(song).attempt == 2)
    rig.removed(song)


def test_workers_are_replaced_one_by_one_with_newer_models_and_no_song_fails(rest_rig: Rig) -> None:
    """Fault 56. The old ones lack the newest model, the new ones the oldest."""
    old, new = "quick sleep-0.2", "quick marked"
    workers = [rest_rig.worker(HAS=old) for _ in range(2)]
    rest_rig.ready(*workers)
    songs = [rest_rig.posted(model=model).json()["hash"] for model in ("sleep-0.2", "quick") * 3]

    first = rest_rig.worker(HAS=new)
    rest_rig.ready(first)
    eventually(lambda: offered(rest_rig) == {"quick", "sleep-0.2", "marked"})
    songs += [rest_rig.posted(model=model).json()["hash"] for model in ("marked", "sleep-0.2", "quick") * 2]
    eventually(lambda: rest_rig.over(songs))
    for worker in workers:
        worker.process.terminate()
        assert worker.process.wait(30) == 0
    eventually(lambda: offered(rest_rig) == {"quick", "marked"})
    rest_rig.finish(songs)

    assert attempts(rest_rig, songs) == [1] * len(songs)
    refused = rest_rig.posted(model="sleep-0.2")
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_option")


def test_a_worker_that_has_all_models_is_told_apart_from_none(rest_rig: Rig) -> None:
    """Fault 57. What was offered last stays on offer while no worker lives, so that songs are taken meanwhile."""
    worker = rest_rig.worker()
    rest_rig.ready(worker)
    eventually(lambda: offered(rest_rig) == set(MODELS))
    worker.process.terminate()
    worker.process.wait(30)

    assert offered(rest_rig) == set(MODELS)
    assert rest_rig.posted(model="marked").status_code == 200
