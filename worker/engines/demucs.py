"""The demucs engine: Demucs' own models and weights, loaded once and kept."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import requests
import torch
import yaml
from demucs.apply import BagOfModels, apply_model
from demucs.hf import DEFAULT_NAMESPACE, hf_repo_name
from demucs.pretrained import get_model
from demucs.repo import BagOnlyRepo, LocalRepo
from huggingface_hub import constants, try_to_load_from_cache

from msas.models import stem_order
from msas.problem import ModelUnavailable
from worker.engines.engine import Progress, Samples

OVERLAP = 0.25


class DemucsEngine:
    """One Demucs model, or a bag of them, with the arithmetic of `demucs.api.Separator` and no random shift."""

    def __init__(self, name: str, model: Any) -> None:
        self.name = name
        self.rate: int = model.samplerate
        self.stems = stem_order(tuple(model.sources))
        self._model = model
        self._device = "cuda" if torch.cuda.is_available() else "cpu"

    def separate(self, mixture: Samples, progress: Progress) -> dict[str, Samples]:
        """See Engine. The mixture is normalised by the mean and deviation of its mono sum, as Demucs does."""
        song = torch.from_numpy(mixture)
        mono = song.mean(0)
        mean, deviation = mono.mean(), mono.std(correction=min(1, len(mono) - 1)) + 1e-8
        total, done = self._segments(song.shape[1]), 0

        def segment_ended(news: dict[str, Any]) -> None:
            nonlocal done
            if news["state"] == "end":
                done += 1
                progress(min(1.0, done / total))

        sources = apply_model(
            self._model,
            ((song - mean) / deviation)[None],
            shifts=0,
            overlap=OVERLAP,
            device=self._device,
            callback=segment_ended,
        )
        sources = sources * deviation + mean
        by_name = dict(zip(self._model.sources, sources[0], strict=True))
        return {stem: by_name[stem].numpy().astype(np.float32, copy=False) for stem in self.stems}

    def _segments(self, samples: int) -> int:
        models: list[Any] = list(self._model.models) if isinstance(self._model, BagOfModels) else [self._model]
        strides = [int((1 - OVERLAP) * int(model.samplerate * model.segment)) for model in models]
        return sum(len(range(0, samples, stride)) for stride in strides)


def load(name: str, repo: Path | None) -> DemucsEngine:
    """Load the model `name`: from the folder `repo` where one is given, else from the cache or the model hub.

    Raises ModelUnavailable. The files of `repo` are the operator's own: Demucs unpickles them.
    """
    cached = repo is None and is_cached(name)
    if repo is None and not cached and not hub_answers():
        raise ModelUnavailable(
            f"The weights of the model {name!r} are not in the cache, and the model hub can not be reached; "
            "use the model 'lite', which needs no hub, or set MODEL_REPO to a folder that holds them."
        )
    try:
        with _cache_only() if cached else nullcontext():
            return DemucsEngine(name, get_model(name, repo))
    except (Exception, SystemExit) as error:  # Demucs ends the process where a folder is missing
        where = f"from {repo}" if repo else "from the model hub"
        raise ModelUnavailable(
            f"The model {name!r} could not be loaded {where} ({type(error).__name__}: {str(error)[:200]}); "
            "choose another model, or mend its weights there."
        ) from error


def in_folder(repo: Path) -> list[str]:
    """Return the names of the models in the local repository `repo`: bags first, then single models of no bag."""
    models = LocalRepo(repo)
    bags = BagOnlyRepo(repo, models).list_model()
    in_bags = {part for bag in bags.values() for part in yaml.safe_load(Path(bag).read_text())["models"]}
    return sorted(bags) + sorted(set(models.list_model()) - in_bags)


def is_cached(name: str) -> bool:
    """Say whether the model hub's cache on this machine holds all of the pretrained model `name`."""
    repo = f"{DEFAULT_NAMESPACE}/{hf_repo_name(name)}"
    bag = try_to_load_from_cache(repo, f"{name}.yaml")
    if not isinstance(bag, str):
        return False
    parts = yaml.safe_load(Path(bag).read_text())["models"]
    return all(isinstance(try_to_load_from_cache(repo, f"{part}.safetensors"), str) for part in parts)


@cache
def hub_answers(seconds: float = 3.0) -> bool:
    """Say whether the model hub can be reached, within `seconds` even where name lookup hangs."""
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
    """Keep the hub's client from asking the hub about files that are here: offline, it would retry for long."""
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
