"""Which models a worker offers: by their licence, by MODELS_ALLOWED, and by whether they can be loaded."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import constants

from local import Service
from msas.errors import ModelUnavailable
from msas.models import CATALOGUE
from msas.settings import Settings
from worker.engines.runtime import Runtime
from worker.metrics import WorkerMetrics
from worker.models import Models
from worker.weights import hub


@pytest.fixture
def settings(service: Service) -> Settings:
    """The service's cache, which holds the lite weights, and no model repository."""
    return replace(service.settings, model_repo=None, model_name="lite")


@pytest.fixture
def empty_hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model hub that answers, and none of its weights in the cache."""
    hub.hub_answers.cache_clear()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(hub, "hub_answers", lambda: True)


def offered(settings: Settings, runtime: Runtime) -> list[str]:
    return [model.name for model in Models(settings, runtime, WorkerMetrics()).offer]


@pytest.mark.usefixtures("empty_hub_cache")
def test_weights_without_a_licence_are_not_offered_for_download_unless_named(
    settings: Settings, runtime: Runtime
) -> None:
    unnamed = offered(settings, runtime)

    assert unnamed[0] == "lite"
    assert all(CATALOGUE[name].is_licensed for name in unnamed)
    assert offered(replace(settings, models_allowed="lite, htdemucs_ft"), runtime) == ["lite", "htdemucs_ft"]


def test_models_in_a_folder_are_offered_unless_models_allowed_leaves_them_out(
    settings: Settings, runtime: Runtime, model_repo: Path
) -> None:
    own = replace(settings, model_repo=model_repo)

    assert offered(own, runtime)[:3] == ["lite", "pair", "small"]
    assert offered(replace(own, models_allowed="lite small"), runtime) == ["lite", "small"]


def test_a_default_that_is_not_allowed_is_an_error_that_names_those_that_are(
    settings: Settings, runtime: Runtime, model_repo: Path
) -> None:
    chosen = replace(settings, model_repo=model_repo, models_allowed="small")

    with pytest.raises(ModelUnavailable, match=r"does not name the model 'lite'; choose one of: small\.$"):
        Models(chosen, runtime, WorkerMetrics())


@pytest.mark.usefixtures("empty_hub_cache")
def test_auto_is_an_error_where_models_allowed_names_neither_of_its_models(
    settings: Settings, runtime: Runtime
) -> None:
    with pytest.raises(ModelUnavailable, match="set MODEL_NAME to a model that it names"):
        Models(replace(settings, model_name="auto", models_allowed="mdx_extra"), runtime, WorkerMetrics())


def test_a_name_in_models_allowed_that_nobody_knows_is_an_error(settings: Settings, runtime: Runtime) -> None:
    with pytest.raises(ModelUnavailable, match="'litte', of which nothing is known here; it may name: lite, htdemucs"):
        Models(replace(settings, models_allowed="litte"), runtime, WorkerMetrics())


def test_a_model_that_is_not_allowed_is_refused_with_the_names_of_those_on_offer(
    settings: Settings, runtime: Runtime, model_repo: Path
) -> None:
    models = Models(replace(settings, model_repo=model_repo, models_allowed="lite small"), runtime, WorkerMetrics())

    with pytest.raises(ModelUnavailable, match=r"'pair' is not offered here; choose one of: lite, small\.$"):
        models.engine("pair")


def test_a_damaged_model_in_a_folder_is_left_out_and_the_others_are_offered(
    settings: Settings, runtime: Runtime, model_repo: Path, tmp_path: Path
) -> None:
    damaged = shutil.copytree(model_repo, tmp_path / "repo")
    [small] = damaged.glob("small*.th")
    small.write_bytes(small.read_bytes()[:1000])

    assert offered(replace(settings, model_repo=damaged), runtime)[:2] == ["lite", "pair"]
