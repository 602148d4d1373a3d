"""Demucs' models as networks that can be exported: the STFT and its inverse stay outside, in float32."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from demucs.hdemucs import HDemucs
from demucs.htdemucs import HTDemucs
from torch import Tensor, nn

from worker.engines.batch import Batches
from worker.engines.runtime import Network, Runtime, digest_of


class Spectral(nn.Module):
    """What a hybrid Demucs does between its STFT and the inverse.

    Maps magnitudes of shape (batch, channels, bins, frames) and the mixture, shape (batch, 2, samples), to the
    spectral and the temporal branch's sources. The model's own `forward` does the work; its four methods around
    the STFT only hand over what comes in and catch what goes out.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, magnitude: Tensor, mixture: Tensor) -> tuple[Tensor, Tensor]:
        caught: list[Tensor] = []

        def catch(spectrum: Tensor, _: int) -> float:
            caught.append(spectrum)
            return 0.0

        model = self.model
        stand_ins = {
            "_spec": lambda _: None,
            "_magnitude": lambda _: magnitude,
            "_mask": lambda _, masked: masked,
            "_ispec": catch,
        }
        for name, stand_in in stand_ins.items():
            setattr(model, name, stand_in)
        try:
            waves = model(mixture)
        finally:
            for name in stand_ins:
                delattr(model, name)
        return caught[0], waves


class Part:
    """One model of a bag, ready to run: `separate` maps windows to sources, `batch` of them at once.

    `segment` is its segment's length in samples; `window` says how many it wants to see for one of so many.
    """

    def __init__(self, model: Any, runtime: Runtime) -> None:
        self.model, self.digest = model.eval(), digest_of(model)
        self.segment = int(model.samplerate * model.segment)
        self.window: Callable[[int], int] = getattr(model, "valid_length", lambda length: length)
        self._spectral = isinstance(model, HDemucs | HTDemucs)
        silence = torch.zeros(1, 2, self.window(self.segment), device=runtime.device)
        example: tuple[Tensor, ...] = (silence,)
        if self._spectral:
            example = (model._magnitude(model._spec(silence)), silence)
        module = Spectral(model) if self._spectral else model
        self._network: Network = runtime.load(module, example, self.digest)
        self.separate = Batches(self._separate, runtime.device, silence.shape[2])

    @property
    def batch(self) -> int:
        return self.separate.size

    @torch.inference_mode()
    def _separate(self, windows: Tensor, wanted: Sequence[int]) -> Tensor:
        """Return the sources whose numbers are `wanted`, in that order."""
        if not self._spectral:
            return self._network(windows)[0][:, list(wanted)]
        model: Any = self.model
        spectrum = model._spec(windows)
        masked, waves = self._network(model._magnitude(spectrum), windows)
        if model.cac:  # then the network's output is the spectrum itself, source by source
            masked, waves = masked[:, list(wanted)], waves[:, list(wanted)]
            chosen: Tensor = waves + model._ispec(model._mask(spectrum, masked), windows.shape[-1])
            return chosen
        sources: Tensor = waves + model._ispec(model._mask(spectrum, masked), windows.shape[-1])
        return sources[:, list(wanted)]
