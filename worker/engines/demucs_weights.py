"""Reads the weights of Demucs models: from a local repository, from the cache, or from the model hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from demucs.hf import DEFAULT_NAMESPACE, get_hf_model, hf_repo_name
from demucs.pretrained import get_model
from demucs.repo import BagOnlyRepo, LocalRepo
from huggingface_hub import constants

from msas.errors import ModelUnavailable
from worker.weights import hub


def read(name: str, repo: Path | None) -> Any:
    """Read the model `name`: from the folder `repo` where one is given, else from the cache of the model hub.

    Raises ModelUnavailable. Demucs unpickles the files of `repo`, so they must be trusted.
    """
    if repo is None:
        fetch(name)
        for path in filter(None, (file.cached() for file in _parts_on_hub(name))):
            hub.check(path)
    try:
        with _cache_only():
            return get_hf_model(name) if repo is None else get_model(name, repo)
    except (Exception, SystemExit) as error:  # Demucs ends the process where a folder is missing
        where = f"from {repo}" if repo else "from the model hub"
        raise ModelUnavailable(
            f"The model {name!r} could not be loaded {where} ({type(error).__name__}: {str(error)[:200]}); "
            "choose another model, or mend its weights there."
        ) from error


def fetch(name: str, on_bytes: hub.OnBytes = lambda _done, _total: None) -> None:
    """Download the pretrained model `name` into the cache, unless it is there. Raises ModelUnavailable."""
    if not is_cached(name):
        hub.fetch([_bag_on_hub(name)])
        hub.fetch([_bag_on_hub(name), *_parts_on_hub(name)], on_bytes)


def in_folder(repo: Path) -> list[str]:
    """Return the names of the models in the local repository `repo`: bags first, then single models of no bag."""
    models = LocalRepo(repo)
    bags = {name: _parts(Path(path)) for name, path in BagOnlyRepo(repo, models).list_model().items()}
    in_bags = {part for parts in bags.values() for part in parts}
    return sorted(name for name, parts in bags.items() if parts) + sorted(set(models.list_model()) - in_bags)


def _parts(path: Path) -> list[str]:
    """Return the models of a bag; none where the YAML file describes something else."""
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return []
    parts = content.get("models") if isinstance(content, dict) else None
    return [part for part in parts if isinstance(part, str)] if isinstance(parts, list) else []


def is_cached(name: str) -> bool:
    """Return whether the model hub's cache on this machine holds all of the pretrained model `name`."""
    parts = _parts_on_hub(name)
    return bool(parts) and all(part.cached() for part in parts)


def _bag_on_hub(name: str) -> hub.HubFile:
    return hub.HubFile(f"{DEFAULT_NAMESPACE}/{hf_repo_name(name)}", f"{name}.yaml")


def _parts_on_hub(name: str) -> list[hub.HubFile]:
    """Return the files of the weights; none where the list of them is not in the cache."""
    bag = _bag_on_hub(name)
    path = bag.cached()
    return [hub.HubFile(bag.repo, f"{part}.safetensors") for part in _parts(path)] if path else []


@contextmanager
def _cache_only() -> Iterator[None]:
    """Let the hub's client use its cache alone: offline, it would retry for long."""
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
