"""Reads the weights of Demucs models: from a local repository, from the cache, or from the model hub."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import requests
import yaml
from demucs.hf import DEFAULT_NAMESPACE, hf_repo_name
from demucs.pretrained import get_model
from demucs.repo import BagOnlyRepo, LocalRepo
from huggingface_hub import constants, try_to_load_from_cache

from msas.errors import ModelUnavailable


def read(name: str, repo: Path | None) -> Any:
    """Read the model `name`: from the folder `repo` where one is given, else from the cache or the model hub.

    Raises ModelUnavailable. Demucs unpickles the files of `repo`, so they must be trusted.
    """
    cached = repo is None and is_cached(name)
    if repo is None and not cached and not hub_answers():
        raise ModelUnavailable(
            f"The weights of the model {name!r} are not in the cache, and the model hub can not be reached; "
            "use the model 'lite', which needs no hub, or set MODEL_REPO to a folder that holds them."
        )
    try:
        with _cache_only() if cached else nullcontext():
            return get_model(name, repo)
    except (Exception, SystemExit) as error:  # Demucs ends the process where a folder is missing
        where = f"from {repo}" if repo else "from the model hub"
        raise ModelUnavailable(
            f"The model {name!r} could not be loaded {where} ({type(error).__name__}: {str(error)[:200]}); "
            "choose another model, or mend its weights there."
        ) from error


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
    repo = f"{DEFAULT_NAMESPACE}/{hf_repo_name(name)}"
    bag = try_to_load_from_cache(repo, f"{name}.yaml")
    if not isinstance(bag, str):
        return False
    parts = yaml.safe_load(Path(bag).read_text())["models"]
    return all(isinstance(try_to_load_from_cache(repo, f"{part}.safetensors"), str) for part in parts)


@cache
def hub_answers(seconds: float = 3.0) -> bool:
    """Return whether the model hub answers, after at most `seconds`, even where name lookup hangs."""
    if constants.HF_HUB_OFFLINE:  # the hub's own variable; our images set it
        return False
    answered = threading.Event()

    def ask() -> None:
        try:
            requests.head(constants.ENDPOINT, timeout=seconds)
            answered.set()
        except requests.RequestException:
            pass

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(seconds)
    return answered.is_set()


@contextmanager
def _cache_only() -> Iterator[None]:
    """Let the hub's client use its cache alone: offline, it would retry for long."""
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
