"""The Demucs engine: separates with a Demucs model, or with a bag of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from demucs.apply import BagOfModels

from msas.models import stem_order
from worker.engines import demucs_weights
from worker.engines.overlap_add import SegmentPlan, overlap_add, starts, triangle
from worker.engines.runtime import Runtime
from worker.engines.submodel import SubModel
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
        # The weight of each model for each source, of shape (models, sources); a source's column sums to 1.
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
    """Load the model `name` and make it ready to run. Raises ModelUnavailable."""
    return DemucsEngine(name, demucs_weights.read(name, repo), runtime)
