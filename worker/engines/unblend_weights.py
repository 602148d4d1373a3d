"""Finds and reads models for the package `unblend`: its own named ones, and folders of safetensors with YAML files.

A model NAME in a folder is NAME.safetensors and NAME.yaml, with the fields `architecture`, `sources`, `samplerate` in
Hz, `segment_samples` and `config`, as in unblend's own registry. The fields `sha256`, `about`, `licence`, `origin` and
`quality` may be left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from msas.errors import ModelUnavailable
from msas.models import UNBLEND, Model, stem_order
from msas.report import MIXTURE
from worker.weights import hub

_URL = re.compile(r"https://huggingface\.co/([^/]+/[^/]+)/resolve/([0-9a-f]{40})/([^/]+)")
_STEM = re.compile(r"[a-z][a-z0-9_-]{0,39}")


@dataclass(frozen=True)
class Recipe:
    """What a model is made of: the architecture's name and arguments, its sources in the order of the network, its
    sample rate in Hz, the length in samples that it was trained at, and the file of its weights."""

    name: str
    architecture: str
    config: dict[str, Any]
    sources: tuple[str, ...]
    samplerate: int
    segment_samples: int
    weights: Path
    sha256: str = ""


def in_folder(folder: Path) -> list[str]:
    """Return the names of the models in `folder`."""
    return sorted(path.stem for path in folder.glob("*.safetensors") if path.with_suffix(".yaml").is_file())


def describe(name: str, folder: Path) -> Model:
    """Return what the YAML file of a model in `folder` says. Raises ModelUnavailable, also for a damaged file."""
    fields = _fields(folder / f"{name}.yaml")
    recipe = _recipe(name, fields, folder / f"{name}.safetensors")
    _check_file(recipe)
    text = {key: str(fields[key]) for key in ("about", "licence", "origin", "quality") if fields.get(key)}
    about = text.pop("about", "A model of this deployment's own.")
    size_mb = round(recipe.weights.stat().st_size / 1e6, 1)
    return Model(name, stem_order(recipe.sources), about, size_mb=size_mb, **text)


def find(name: str, folder: Path | None) -> Recipe:
    """Return the recipe of a model in `folder`, else of a named one, whose weights are downloaded first where they are
    not in the cache. Raises ModelUnavailable."""
    if folder:
        return _recipe(name, _fields(folder / f"{name}.yaml"), folder / f"{name}.safetensors")
    file = hub_file(name)
    [path] = hub.fetch([file])
    return _recipe(name, {**_registry()[name], "sha256": file.sha256}, path)


def read(recipe: Recipe) -> dict[str, torch.Tensor]:
    """Return the weights. Raises ModelUnavailable where the file is damaged or not the one that is meant."""
    _check_file(recipe)
    if recipe.sha256 and hub.digest(recipe.weights) != recipe.sha256:
        raise ModelUnavailable(
            f"The file {recipe.weights.name} is not the one that is meant by the model {recipe.name!r}: its SHA-256 is "
            "another; remove it, or fetch it again."
        )
    try:
        return load_file(recipe.weights)
    except (SafetensorError, OSError) as error:
        raise _damaged(recipe, error) from error


def is_installed() -> bool:
    """Say whether the package unblend is installed."""
    try:
        distribution("unblend")
    except PackageNotFoundError:
        return False
    return True


def is_cached(name: str) -> bool:
    """Say whether the model hub's cache on this machine holds the weights of the named model."""
    if not is_installed():
        return False
    return hub_file(name).cached() is not None


def hub_file(name: str) -> hub.HubFile:
    """Return where the weights of a named model lie."""
    checkpoint = _registry()[name]["checkpoint"]
    found = _URL.fullmatch(checkpoint["url"])
    assert found, "the pinned registry names a file of the hub"
    return hub.HubFile(found[1], found[3], found[2], checkpoint["sha256"])


@cache
def _registry() -> dict[str, dict[str, Any]]:
    """Return unblend's own registry, without importing the package, of the models that the catalogue has."""
    path = Path(str(distribution("unblend").locate_file("unblend/metadata.yaml")))
    known = yaml.safe_load(path.read_text())["models"]
    return {model.name: known[model.name] for model in UNBLEND}


def _fields(path: Path) -> dict[str, Any]:
    try:
        fields = yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ModelUnavailable(f"The file {path.name} can not be read ({type(error).__name__}); mend it.") from error
    return fields if isinstance(fields, dict) else {}


def _recipe(name: str, fields: Mapping[str, Any], weights: Path) -> Recipe:
    """Raises ModelUnavailable where a field is missing or impossible."""
    sources = fields.get("sources")
    names = tuple(sources) if isinstance(sources, list) and all(isinstance(each, str) for each in sources) else ()
    wrong = [
        field
        for field, is_right in (
            ("architecture", isinstance(fields.get("architecture"), str)),
            ("config", isinstance(fields.get("config"), dict)),
            ("sources", names and len(set(names)) == len(names) and all(map(_is_stem, names))),
            ("samplerate", _is_count(fields.get("samplerate"), 8_000, 192_000)),
            ("segment_samples", _is_count(fields.get("segment_samples"), 1, 60 * 192_000)),
        )
        if not is_right
    ]
    if wrong:
        raise ModelUnavailable(
            f"The description of the model {name!r} lacks or has a wrong {', '.join(map(repr, wrong))}; "
            "docs/models.md says what belongs there."
        )
    return Recipe(
        name,
        fields["architecture"],
        fields["config"],
        names,
        fields["samplerate"],
        fields["segment_samples"],
        weights,
        str(fields.get("sha256", "")).lower(),
    )


def _is_stem(name: str) -> bool:
    return bool(_STEM.fullmatch(name)) and name != MIXTURE


def _is_count(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _check_file(recipe: Recipe) -> None:
    """Read the header alone, which tells a truncated file. Raises ModelUnavailable."""
    try:
        with safe_open(recipe.weights, framework="pt"):
            pass
    except (SafetensorError, OSError) as error:
        raise _damaged(recipe, error) from error


def _damaged(recipe: Recipe, error: Exception) -> ModelUnavailable:
    return ModelUnavailable(
        f"The weights of the model {recipe.name!r} in {recipe.weights.name} are damaged or no safetensors "
        f"({str(error)[:100]}); fetch the file again."
    )
