"""The unblend engine: BS-RoFormer, Mel-Band RoFormer, SCNet and HTDemucs as the package `unblend` builds them.

The core of a network, between its STFT and the inverse, runs as the Runtime says: exported to OpenVINO, or in PyTorch
in the wanted precision. STFT, masks and the inverse stay in PyTorch, in float32.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from msas.errors import ModelUnavailable
from msas.models import stem_order
from worker.engines import unblend_weights
from worker.engines.batch import Batches
from worker.engines.overlap_add import SegmentPlan, overlap_add, starts, triangle
from worker.engines.runtime import Network, Runtime, network_digest
from worker.engines.types import MixtureStats, Progress, Samples, SeparationParams
from worker.engines.unblend_weights import Recipe

# unblend imports torchaudio, whose wheels can not be loaded beside a PyTorch for CPUs alone; it uses it for files.
sys.modules.setdefault("torchaudio", ModuleType("torchaudio"))

_CHANNELS = 2
_EPSILON = 1e-5  # that unblend adds to the deviation by which it divides


class Core(nn.Module):
    """The part of a network that is worth a faster runtime: tensors in, tensors out, no complex numbers."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor) -> Any:
        return getattr(type(self.model), self.model.core_name)(self.model, *inputs)


class UnblendEngine:
    """See Engine. One model, with the windows and the overlap-add of `unblend.apply.apply_model`."""

    def __init__(self, recipe: Recipe, runtime: Runtime) -> None:
        """Raises ModelUnavailable where the recipe and the weights do not make a model."""
        model = _build(recipe)
        self.name, self.rate, self._sources = recipe.name, recipe.samplerate, recipe.sources
        self.stems = stem_order(recipe.sources)
        self.device, self.precision = runtime.name, runtime.precision
        facts = [recipe.architecture, recipe.config, recipe.sources, recipe.segment_samples, version("unblend")]
        self.weights = hashlib.sha256(f"{network_digest(model)} {json.dumps(facts)}".encode()).hexdigest()
        self._is_normalised: bool = model.external_normalization
        self._segment = recipe.segment_samples
        silence = torch.zeros(1, _CHANNELS, self._segment, device=runtime.device)
        core = Core(model.to(runtime.device))
        network = runtime.load(core, _core_inputs(model, silence), self.weights)
        exact = runtime.in_float32(core)
        self._separate = Batches(
            partial(_separate, model, network),
            runtime.device,
            self._segment,
            len(self._sources),
            partial(_separate, model, exact) if exact else None,
        )

    def separate(
        self, blocks: Iterable[Samples], stats: MixtureStats, params: SeparationParams, progress: Progress
    ) -> Iterator[tuple[Samples, Samples]]:
        """See Engine. Most of these networks take the mixture as it is; where one does not, it is normalised."""
        mean, deviation = np.float32(0), np.float32(1)
        if self._is_normalised:
            mean, deviation = np.float32(stats.mean), np.float32(stats.deviation + _EPSILON)
            blocks = ((block - mean) / deviation for block in blocks)
        plans = self._plans(stats.length, params)
        for mixture, sources in overlap_add(blocks, stats.length, plans, progress):
            yield mixture * deviation + mean, sources * deviation + mean

    def _plans(self, length: int, params: SeparationParams) -> list[SegmentPlan]:
        run = partial(self._separate, wanted=[self._sources.index(stem) for stem in params.stems])
        runs = starts(length, self._segment, params, self.rate)
        gains = np.full(len(params.stems), 1 / len(runs), np.float32)
        weight = triangle(self._segment)
        return [SegmentPlan(each, weight, gains, self._window, run, self._separate.size) for each in runs]

    def _window(self, _: int) -> int:
        return self._segment


def load(name: str, folder: Path | None, runtime: Runtime) -> UnblendEngine:
    """Load a model of `folder`, or a named one, and make it ready to run. Raises ModelUnavailable."""
    if not unblend_weights.is_installed():
        raise ModelUnavailable(
            f"The model {name!r} needs the package unblend, which is not installed here; install it with "
            "pip install 'msas[roformer]', or choose another model."
        )
    return UnblendEngine(unblend_weights.find(name, folder), runtime)


@torch.inference_mode()
def _separate(model: Any, network: Network, windows: Tensor, wanted: Sequence[int]) -> Tensor:
    """Return the sources whose numbers are `wanted`, in that order."""

    def core(*inputs: Tensor) -> Any:
        outputs = network(*inputs)
        return outputs if len(outputs) > 1 else outputs[0]

    setattr(model, model.core_name, core)
    try:
        found: Tensor = model(windows)[:, list(wanted)]
    finally:
        delattr(model, model.core_name)
    return found


class _Caught(Exception):
    """Carries what a network's core would have got."""


@torch.inference_mode()
def _core_inputs(model: Any, windows: Tensor) -> tuple[Tensor, ...]:
    """Return what the core of `model` gets for `windows`."""
    caught: list[tuple[Tensor, ...]] = []

    def catch(*inputs: Tensor) -> None:
        caught.append(inputs)
        raise _Caught

    setattr(model, model.core_name, catch)
    try:
        model(windows)
    except _Caught:
        pass
    finally:
        delattr(model, model.core_name)
    # Copies that are no inference tensors, which can not be handed to the process that exports.
    with torch.inference_mode(False):
        return tuple(tensor.clone() for tensor in caught[0])


def _build(recipe: Recipe) -> Any:
    """Return the model with its weights. Raises ModelUnavailable."""
    weights = unblend_weights.read(recipe)
    from unblend import backends, roformer, scnet  # noqa: F401 (these register their architectures)
    from unblend.htdemucs import HTDemucs

    try:
        if recipe.architecture == "htdemucs":
            model: Any = HTDemucs(**{**recipe.config, "sources": list(recipe.sources)})
            model.load_state_dict(weights, strict=True)
            if (model.samplerate, round(model.max_allowed_segment * model.samplerate)) != _shape(recipe):
                raise ValueError("samplerate and segment_samples are others than those of its config")
        else:
            backend = backends.backend_for_architecture(recipe.architecture)
            if backend is None:
                raise ValueError(f"unblend knows no architecture {recipe.architecture[:80]!r}")
            model = backends.build(
                backend,
                recipe.architecture,
                recipe.config,
                sources=list(recipe.sources),
                samplerate=recipe.samplerate,
                segment_samples=recipe.segment_samples,
                state=weights,
            )
        if model.audio_channels != _CHANNELS:
            raise ValueError(f"it has {model.audio_channels} channels, and only stereo is supported")
    except Exception as error:  # whatever a constructor does with arguments that it was not made for
        why = " ".join(str(error).split())[:200]
        raise ModelUnavailable(
            f"The weights in {recipe.weights.name} and the description of the model {recipe.name!r} do not fit each "
            f"other ({type(error).__name__}: {why}); mend the description, or fetch the weights that belong to it."
        ) from error
    return model.eval().requires_grad_(False)


def _shape(recipe: Recipe) -> tuple[int, int]:
    return recipe.samplerate, recipe.segment_samples
