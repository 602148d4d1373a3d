"""The Demucs engine: loads a Demucs model's weights, and separates with it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import requests
import yaml
from demucs.apply import BagOfModels
from demucs.hf import DEFAULT_NAMESPACE, hf_repo_name
from demucs.pretrained import get_model
from demucs.repo import BagOnlyRepo, LocalRepo
from huggingface_hub import constants, try_to_load_from_cache

from msas.errors import ModelUnavailable
from msas.models import stem_order
from worker.engines.hybrid_demucs import SubModel
from worker.engines.overlap_add import SegmentPlan, overlap_add, starts, triangle
from worker.engines.runtime import Runtime
from worker.engines.types import MixtureStats, Progress, Samples, SeparationParams


class DemucsEngine:
    """See Engine. One Demucs model, or a bag of them, with the arithmetic of `demucs.apply.apply_model`."""

    def __init__(self, name: str, model: Any, runtime: Runtime) -> None:
        models = list(model.models) if isinstance(model, BagOfModels) else [model]
        self.name = name
        self.rate: int = model.samplerate
        self.sources: tuple[str, ...] = tuple(model.sources)
        self.stems = stem_order(self.sources)
        self.device, self.precision = runtime.name, runtime.precision
        # How much each model's word counts for each source, of shape (models, sources); a source's column sums to 1.
        source_weights = np.array(model.weights if isinstance(model, BagOfModels) else [[1.0] * len(self.sources)])
        self._source_weights = source_weights / source_weights.sum(axis=0)
        self._submodels = [SubModel(each, runtime) for each in models]
        self.weights = hashlib.sha256(" ".join(submodel.digest for submodel in self._submodels).encode()).hexdigest()

    def separate(
        self, blocks: Iterable[Samples], stats: MixtureStats, params: SeparationParams, progress: Progress
    ) -> Iterator[tuple[Samples, Samples]]:
        """See Engine. The mixture is normalised by mean and deviation, as `demucs.api.Separator` does."""
        mean, deviation = np.float32(stats.mean), np.float32(stats.deviation + 1e-8)
        normal = ((block - mean) / deviation for block in blocks)
        for mixture, sources in overlap_add(normal, stats.length, self._plans(stats.length, params), progress):
            yield mixture * deviation + mean, sources * deviation + mean

    def _plans(self, length: int, params: SeparationParams) -> list[SegmentPlan]:
        """List the runs over the song that the wanted stems need: of a bag of specialists, only theirs."""
        wanted = [self.sources.index(stem) for stem in params.stems]
        plans = []
        for number, (submodel, source_weights) in enumerate(zip(self._submodels, self._source_weights, strict=True)):
            gains = source_weights[wanted].astype(np.float32)
            if gains.any():
                runs = starts(length, submodel.segment, params, self.rate, number)
                run = partial(submodel.separate, wanted=wanted)
                weight = triangle(submodel.segment)
                plans += [
                    SegmentPlan(each, weight, gains / len(runs), submodel.window, run, submodel.batch) for each in runs
                ]
        return plans


def load(name: str, repo: Path | None, runtime: Runtime) -> DemucsEngine:
    """Load the model `name` and make it ready to run. Raises as `read` does."""
    return DemucsEngine(name, read(name, repo), runtime)


def read(name: str, repo: Path | None) -> Any:
    """Read the model `name`: from the folder `repo` where one is given, else from the cache or the model hub.

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
    """Say whether the model hub may and can be reached, within `seconds` even where name lookup hangs."""
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
    """Keep the hub's client from asking the hub about files that are here: offline, it would retry for long."""
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
