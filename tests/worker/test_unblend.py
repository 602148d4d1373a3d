"""The unblend engine: equal to unblend's own inference, and what it says of models that can not be loaded."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from local import Service
from msas.errors import ModelUnavailable
from msas.models import CATALOGUE
from msas.settings import Settings
from msas_client import Client
from tests.support import small_unblend
from tests.support.audio import Wave, decode, snr_db, true_waves
from tests.support.engine_runs import separated
from tests.support.fake_hub import COMMIT, FakeHub, serving
from tests.support.hub_cache import use_hub
from tests.support.processes import environment_with
from worker.engines import unblend, unblend_weights
from worker.engines.runtime import Runtime
from worker.engines.unblend import UnblendEngine
from worker.metrics import WorkerMetrics
from worker.models import Models
from worker.weights import hub

pytestmark = pytest.mark.skipif(
    not unblend_weights.is_installed(), reason="the extra roformer, which make installs, is not in this environment"
)


class InTorch(Runtime):
    """The CPU in float32 without exports, which take seconds each."""

    def _compiled(self, *_: object) -> None:
        return None


NAMED = "melband_roformer_kim"
MSAS = str(Path(sys.executable).parent / "msas")


@pytest.fixture(scope="module")
def in_torch() -> Runtime:
    return InTorch(Settings(device="cpu", precision="float32"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model repository with a small model of each architecture."""
    made = tmp_path_factory.mktemp("unblend")
    for name in small_unblend.MODELS:
        small_unblend.save(name, made)
    return made


@pytest.fixture(scope="module")
def mixture() -> Wave:
    """1.3 s of a song: five segments and a part of one."""
    return np.ascontiguousarray(true_waves()["mixture"][:, 44_100:101_430])


def by_unblend(name: str, mixture: Wave) -> dict[str, Wave]:
    """Separate with unblend's own `apply_model`, normalised as its Separator does where the model wants that."""
    from unblend.apply import apply_model, normalization_stats

    model = small_unblend.build(name)
    given = torch.from_numpy(mixture)[None]
    mean, deviation = torch.zeros(1), torch.ones(1)
    if model.external_normalization:
        mean, deviation = normalization_stats(given)
        deviation = deviation + 1e-5
    with torch.inference_mode():
        found = apply_model(model, (given - mean) / deviation, shifts=0, overlap=0.25)[0] * deviation + mean
    return dict(zip(model.sources, found.numpy(), strict=True))


def check_equality(engine: UnblendEngine, mixture: Wave) -> None:
    expected = by_unblend(engine.name, mixture)
    found = separated(engine, mixture)

    assert set(found) == set(expected)
    for stem, wave in found.items():
        assert snr_db(expected[stem], wave) > 90, stem


@pytest.mark.parametrize("name", small_unblend.MODELS)
def test_stems_equal_those_of_unblend_itself(name: str, folder: Path, in_torch: Runtime, mixture: Wave) -> None:
    check_equality(unblend.load(name, folder, in_torch), mixture)


@pytest.mark.long
@pytest.mark.parametrize("name", small_unblend.MODELS)
def test_exported_core_of_each_architecture_equals_unblend(
    name: str, folder: Path, tmp_path: Path, mixture: Wave
) -> None:
    runtime = Runtime(Settings(device="cpu", precision="float32", cache_dir=tmp_path))

    check_equality(unblend.load(name, folder, runtime), mixture)

    assert list((tmp_path / "openvino").glob("*.xml")), "the core was exported"


def test_a_song_is_separated_the_same_each_time_and_only_into_the_wanted_stems(
    folder: Path, in_torch: Runtime, mixture: Wave
) -> None:
    engine = unblend.load("masked", folder, in_torch)

    first, again = (separated(engine, mixture, ("drums",), shifts=1) for _ in range(2))

    assert engine.stems == ("vocals", "drums", "bass", "other")
    assert list(first) == ["drums"]
    assert np.array_equal(first["drums"], again["drums"])


@pytest.mark.parametrize("name", small_unblend.MODELS)
def test_stems_of_silence_are_finite(name: str, folder: Path, in_torch: Runtime) -> None:
    engine = unblend.load(name, folder, in_torch)

    stems = separated(engine, np.zeros((2, 20_000), np.float32))

    assert all(np.isfinite(wave).all() for wave in stems.values())


def test_windows_in_which_a_lower_precision_overflows_are_computed_in_float32(folder: Path, mixture: Wave) -> None:
    engine = unblend.load("mel", folder, InTorch(Settings(device="cpu", precision="float32")))
    exact = separated(engine, mixture)
    engine._separate._exact = engine._separate._separate
    engine._separate._separate = lambda windows, wanted: torch.full((len(windows), len(wanted), 2, 1), torch.inf)

    found = separated(engine, mixture)

    assert all(np.array_equal(found[stem], exact[stem]) for stem in exact)


def test_weights_that_differ_have_other_digests(folder: Path, in_torch: Runtime) -> None:
    digests = {unblend.load(name, folder, in_torch).weights for name in ("mel", "scnet", "masked")}

    assert len(digests) == 3


Break = Callable[[Path], None]


def truncate(weights: Path) -> None:
    weights.write_bytes(weights.read_bytes()[:-100])


def no_safetensors(weights: Path) -> None:
    weights.write_bytes(b"<html>404</html>")


def foreign(weights: Path) -> None:
    save_file({"some.weight": torch.zeros(3)}, weights)


def of_another_shape(weights: Path) -> None:
    state = load_file(weights)
    name = next(iter(state))
    save_file({**state, name: torch.zeros(7, 5)}, weights)


def describe(**changes: Any) -> Break:
    def change(weights: Path) -> None:
        path = weights.with_suffix(".yaml")
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changes}))

    return change


def garble(weights: Path) -> None:
    weights.with_suffix(".yaml").write_text("{[: no YAML")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (truncate, "damaged or no safetensors"),
        (no_safetensors, "damaged or no safetensors"),
        (foreign, "do not fit each other"),
        (of_another_shape, "do not fit each other"),
        (garble, "can not be read"),
        (describe(architecture="bandit"), "knows no architecture 'bandit'"),
        (describe(config={"dim": 16}), "do not fit each other"),
        (describe(config={"dims": [0, 0, 0]}), "do not fit each other"),
        (describe(config=[]), "has a wrong 'config'"),
        (describe(sources=["drums"]), "do not fit each other"),
        (describe(sources=["../drums", "bass", "other", "vocals"]), "has a wrong 'sources'"),
        (describe(sources=["drums", "drums", "other", "vocals"]), "has a wrong 'sources'"),
        (describe(sources=["mixture", "bass", "other", "vocals"]), "has a wrong 'sources'"),
        (describe(samplerate="fast", segment_samples=0), "has a wrong 'samplerate', 'segment_samples'"),
        (describe(sha256="0" * 64), "its SHA-256 is another"),
    ],
)
def test_a_model_that_can_not_be_loaded_is_refused_in_one_sentence(
    harm: Break, said: str, tmp_path: Path, in_torch: Runtime
) -> None:
    harm(small_unblend.save("scnet", tmp_path))

    with pytest.raises(ModelUnavailable) as refused:
        unblend.load("scnet", tmp_path, in_torch)

    assert said in refused.value.detail
    assert "\n" not in refused.value.detail
    assert refused.value.code == "model_unavailable"


def test_a_model_of_a_folder_is_described_by_its_file(tmp_path: Path) -> None:
    small_unblend.save("mel", tmp_path, licence="MIT", about="Sings.", quality="good", origin="here")

    found = unblend_weights.describe("mel", tmp_path)

    assert (found.name, found.stems, found.about) == ("mel", ("vocals", "other"), "Sings.")
    assert (found.licence, found.quality, found.origin) == ("MIT", "good", "here")
    assert found.size_mb


def test_named_models_have_a_file_on_the_hub_and_the_stems_of_the_catalogue() -> None:
    for name, entry in unblend_weights._registry().items():
        file = unblend_weights.hub_file(name)
        recipe = unblend_weights._recipe(name, entry, Path("weights"))

        assert file.name == f"{name}.safetensors"
        assert len(file.sha256) == 64
        assert set(recipe.sources) == set(CATALOGUE[name].stems)


def test_without_the_package_a_model_is_refused_with_what_to_install(
    folder: Path, in_torch: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unblend_weights, "is_installed", lambda: False)

    with pytest.raises(ModelUnavailable, match=r"pip install 'msas\[roformer\]'"):
        unblend.load("mel", folder, in_torch)


def test_a_song_is_separated_with_a_model_of_a_folder_by_the_command(
    service: Service, client: Client, song: Path, tmp_path: Path
) -> None:
    about = {model.name: model for model in client.models()}["melband_roformer_kim"]
    command = [MSAS, "separate", "-n", "melband_roformer_kim", "--two-stems", "vocals", "-o", str(tmp_path), str(song)]

    done = subprocess.run(
        command, env=environment_with(REST=service.address), capture_output=True, text=True, timeout=300
    )

    assert done.returncode == 0, done.stderr
    saved = {path.stem: decode(path) for path in (tmp_path / "melband_roformer_kim").rglob("*.mp3")}
    assert saved.keys() == {"vocals", "no_vocals"}
    assert {wave.shape for wave in saved.values()} == {true_waves()["mixture"].shape}
    assert about.stems == ("vocals", "other")


def test_after_a_model_that_can_not_be_loaded_the_worker_separates_with_the_others(
    service: Service, tmp_path: Path, runtime: Runtime
) -> None:
    foreign(small_unblend.save("scnet", tmp_path, "foreign"))
    models = Models(replace(service.settings, model_repo=tmp_path), runtime, WorkerMetrics())

    with pytest.raises(ModelUnavailable, match="do not fit each other"):
        models.engine("foreign")

    assert [model.name for model in models.offer] == ["lite", "foreign"]
    assert models.engine("lite").stems == ("vocals", "drums", "bass", "other")


def test_a_named_model_comes_from_the_hub_at_its_fixed_revision_with_the_hash_of_the_registry(
    tmp_path: Path, in_torch: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = small_unblend.save("mel", tmp_path, NAMED)
    entry = yaml.safe_load(weights.with_suffix(".yaml").read_text())
    url = f"https://huggingface.co/Ryan5453/unblend/resolve/{COMMIT}/{weights.name}"
    registry = {NAMED: {**entry, "checkpoint": {"url": url, "sha256": hub.digest(weights)}}}
    monkeypatch.setattr(unblend_weights, "_registry", lambda: registry)

    with serving(FakeHub({f"Ryan5453/unblend/{weights.name}": weights.read_bytes()})) as running:
        use_hub(running.url, tmp_path / "hub", monkeypatch)
        engine = unblend.load(NAMED, None, in_torch)
        is_cached = unblend_weights.is_cached(NAMED)
        registry[NAMED]["checkpoint"]["sha256"] = "0" * 64
        with pytest.raises(ModelUnavailable, match="SHA-256"):
            unblend.load(NAMED, None, in_torch)
    hub.hub_answers.cache_clear()

    assert (engine.stems, is_cached) == (("vocals", "other"), True)
    files = {
        path for _, path, _ in running.calls if not path.startswith("/api/")
    }  # the hub's client asks more at times
    assert files == {f"/Ryan5453/unblend/resolve/{COMMIT}/{weights.name}"}
