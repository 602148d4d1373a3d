"""How workers wait for weights: `auto`, models that a job asks for, and what callers are told meanwhile."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from local import Service
from local.servers import free_ports
from msas.errors import ModelUnavailable
from msas.job import Stage
from msas.options import Options
from msas.queue import Consumer, ModelLoad, ModelLoads, Queue, connect
from msas.settings import Settings
from msas_client import Client
from rest.app import create_app
from tests.queue.fixtures import job
from tests.support.fake_hub import FakeHub, serving, small_demucs
from tests.support.hub_cache import use_hub
from tests.support.processes import environment_with, eventually
from worker import fetch_models
from worker.engines.runtime import Runtime
from worker.heartbeat import Cancelled
from worker.metrics import WorkerMetrics
from worker.models import Models
from worker.weights import download, hub, reports

FILES = small_demucs()


@pytest.fixture
def auto(settings: Settings) -> Settings:
    """The service's cache, which holds the lite weights, a queue of this test's own, and no model repository."""
    return replace(settings, model_repo=None, model_name="auto")


@pytest.fixture
def small_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub with a small htdemucs at 1 MB/s, and an empty cache."""
    with serving(FakeHub(dict(FILES), bytes_per_second=1_000_000)) as running:
        use_hub(running.url, tmp_path / "hub", monkeypatch)
        monkeypatch.setattr(reports, "_FIRST_PAUSE_SECONDS", 0.1)
        yield running
    hub.hub_answers.cache_clear()


@pytest.mark.usefixtures("small_hub")
def test_auto_waits_for_a_download_that_makes_progress_and_tells_redis_of_it(
    auto: Settings, runtime: Runtime, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[ModelLoad] = []
    loads = ModelLoads(queue)
    monkeypatch.setattr(reports, "_REPORT_SECONDS", 0.0)
    monkeypatch.setattr(ModelLoads, "record", lambda _, load: told.append(load))

    models = Models(auto, runtime, WorkerMetrics(), loads)

    assert models.default == "htdemucs"
    assert {load.model for load in told} == {"htdemucs"}
    assert len({load.bytes for load in told}) > 2
    assert loads.read() == [], "a finished download is still reported"


def test_auto_takes_lite_while_the_hub_refuses_and_htdemucs_once_it_is_there(
    auto: Settings, runtime: Runtime, small_hub: FakeHub
) -> None:
    small_hub.refuse, small_hub.bytes_per_second = 401, 0
    models = Models(auto, runtime, WorkerMetrics())
    before = models.default, "htdemucs" in [model.name for model in models.offer]
    models.refresh()
    small_hub.refuse = 0

    def is_there() -> bool:
        models.refresh()
        return models.default == "htdemucs"

    eventually(is_there)
    assert before == ("lite", False)
    assert [model.name for model in models.offer][:2] == ["htdemucs", "lite"]
    assert models.engine("lite").stems
    assert models.engine("htdemucs").stems


def test_auto_takes_lite_while_the_download_stalls_and_htdemucs_once_it_is_there(
    auto: Settings, runtime: Runtime, small_hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "STALL_SECONDS", 0.5)
    small_hub.hang, small_hub.bytes_per_second = True, 0
    models = Models(auto, runtime, WorkerMetrics())
    before = models.default
    small_hub.hang = False

    def is_there() -> bool:
        models.refresh()
        return models.default == "htdemucs"

    eventually(is_there)
    assert before == "lite"


def test_a_default_that_can_not_be_fetched_is_an_error_in_one_sentence(
    auto: Settings, runtime: Runtime, small_hub: FakeHub
) -> None:
    small_hub.refuse = 404

    with pytest.raises(ModelUnavailable, match=r"^The model hub does not give out .*\(HTTP 404\): it is not there"):
        Models(replace(auto, model_name="htdemucs"), runtime, WorkerMetrics())


def named(auto: Settings) -> Settings:
    return replace(auto, model_name="lite", models_allowed="lite htdemucs")


@pytest.mark.usefixtures("small_hub")
def test_a_model_that_a_job_asks_for_is_downloaded_while_its_worker_can_be_stopped(
    auto: Settings, runtime: Runtime
) -> None:
    models = Models(named(auto), runtime, WorkerMetrics())
    calls = 0

    def cancel() -> None:
        nonlocal calls
        calls += 1
        if calls > 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        models.engine("htdemucs", cancel)
    after = models.about["cached"]

    assert models.engine("htdemucs").name == "htdemucs"
    assert after == ["lite"]
    assert models.about["cached"] == ["lite", "htdemucs"]


def test_a_model_that_a_job_asks_for_and_the_hub_refuses_fails_the_job_and_not_the_worker(
    auto: Settings, runtime: Runtime, small_hub: FakeHub
) -> None:
    models = Models(named(auto), runtime, WorkerMetrics())
    small_hub.lie = True

    with pytest.raises(ModelUnavailable, match="SHA-256"):
        models.engine("htdemucs")

    assert models.engine("lite").name == "lite"
    small_hub.lie = False
    assert models.engine("htdemucs").name == "htdemucs"


def test_callers_see_how_far_the_download_is_and_the_stage_of_a_job_that_waits_for_it(
    settings: Settings, queue: Queue
) -> None:
    client = create_app(settings).test_client()
    ModelLoads(queue).record(ModelLoad("htdemucs", 34_000_000, 84_000_000))
    facts = {"model": "htdemucs", "bytes": 34_000_000, "total_bytes": 84_000_000}
    first, other = (replace(job(number), options=Options(name)) for number, name in ((1, "htdemucs"), (2, "lite")))
    for each in (first, other):
        queue.enqueue(each)
        lease = Consumer(connect(settings), connect(settings), settings).claim_next()
        assert lease
        lease.stage = Stage.LOADING
        lease.renew()

    waiting = client.get("/apiv1/models").get_json()
    found = client.get(f"/apiv1/status/{first.songhash}").get_json()

    assert client.get("/readyz").get_json() == {"status": "ready", "loading": [facts]}
    assert (found["stage"], found["loading"]) == ("loading model", facts)
    assert client.get(f"/apiv1/status/{other.songhash}").get_json()["loading"] is None
    assert waiting["code"] == "no_worker"
    assert "still downloads the weights of the model htdemucs (34 of 84 MB)" in waiting["detail"]


def test_a_download_that_nobody_tells_of_any_more_is_not_shown(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    loads = ModelLoads(queue)
    loads.record(ModelLoad("htdemucs", 1, 2))
    now = queue.now()
    monkeypatch.setattr(Queue, "now", lambda _: now + 31_000)

    assert loads.read() == []


def test_demo_shows_the_download_and_separates_with_the_model(service: Service, song: Path, tmp_path: Path) -> None:
    with serving(FakeHub(dict(FILES), bytes_per_second=20_000)) as running:
        environment = environment_with(
            HF_ENDPOINT=running.url,
            HF_HUB_CACHE=str(tmp_path / "hub"),
            HF_HUB_OFFLINE="",
            CACHE_DIR=str(service.settings.cache_dir.expanduser()),
            MODEL_REPO="",
        )
        command = [sys.executable, "-m", "local", "demo", "--model", "htdemucs", "--out", str(tmp_path / "out")]

        with subprocess.Popen(
            [*command, "--song", str(song)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as demo:
            assert demo.stdout
            shown = next((line for line in demo.stdout if line.endswith(" MB downloaded\n")), "")
            running.bytes_per_second = 0
            rest = demo.stdout.read()

    assert shown, "nothing was shown of the download"
    assert demo.returncode == 0, rest
    assert "  model   htdemucs: " in rest
    assert len(list((tmp_path / "out").rglob("*.mp3"))) == 4


def test_an_image_can_not_be_built_with_a_model_that_nobody_knows(capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch_models.main(["htdemux"]) == 1
    assert "There is no model 'htdemux'; choose one of: lite, htdemucs" in capsys.readouterr().err


@pytest.mark.long
def test_images_are_built_with_models_from_the_hub(service: Service, tmp_path: Path) -> None:
    with serving(FakeHub(dict(FILES))) as running:
        environment = environment_with(
            HF_ENDPOINT=running.url,
            HF_HUB_CACHE=str(tmp_path / "hub"),
            HF_HUB_OFFLINE="",
            MODEL_REPO="",
            CACHE_DIR=str(tmp_path / "cache"),
        )
        command = [sys.executable, "-m", "worker.fetch_models", "htdemucs"]

        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)

    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("htdemucs: in the cache\n")
    assert requests.get(f"{service.url}/readyz", timeout=60).json() == {"status": "ready", "loading": []}


@pytest.mark.long
def test_a_song_waits_for_the_model_that_it_names_and_its_status_says_how_far_the_download_is(
    service: Service, song: Path, tmp_path: Path
) -> None:
    seen: list[tuple[str | None, int]] = []
    with serving(FakeHub(dict(FILES), bytes_per_second=200_000)) as running:
        environment = {
            "HF_ENDPOINT": running.url,
            "HF_HUB_CACHE": str(tmp_path / "hub"),
            "HF_HUB_OFFLINE": "",
            "CACHE_DIR": str(service.settings.cache_dir.expanduser()),
            "MODEL_REPO": "",
            "MODEL_NAME": "lite",
            "MODELS_ALLOWED": "lite,htdemucs",
        }
        with Service(tmp_path / "data", free_ports(1)[0], environment) as own, Client(own.address) as client:
            songhash = client.separate(song, model="htdemucs").songhash

            def has_ended() -> bool:
                status = requests.get(f"{own.url}/apiv1/status/{songhash}", timeout=60).json()
                seen.append((status["stage"], (status["loading"] or {}).get("bytes", 0)))
                return bool(status["status"] == "succeeded")

            eventually(has_ended, seconds=120)

    loading = {count for stage, count in seen if stage == "loading model"}
    assert len(loading) > 2
    assert max(loading) > 0
