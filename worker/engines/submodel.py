"""Makes one network of a Demucs model ready to run; a hybrid one without its STFT, so that OpenVINO can export it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from demucs.hdemucs import HDemucs
from demucs.htdemucs import HTDemucs
from torch import Tensor, nn
from torch.nn import functional

from worker.engines.batch import Batches
from worker.engines.runtime import Network, Runtime, network_digest

_EPSILON = 1e-5  # which the models add to the deviation that they divide by
_KEPT = 1.0 - _EPSILON  # the deviation that a network is told its inputs have, so that it divides by exactly one


class Spectral(nn.Module):
    """What a hybrid Demucs does between its STFT and the inverse, and between its two normalisations.

    Maps the normalised spectrogram, shape (batch, channels, bins, frames), and the normalised mixture, shape
    (batch, 2, samples), to the spectral and the temporal branch's sources, still normalised. The model's own
    `forward` does the work; what it does around the network is taken from it while that runs.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, spectrogram: Tensor, mixture: Tensor) -> tuple[Tensor, Tensor]:
        caught: list[Tensor] = []

        def catch(spectrum: Tensor, _: int) -> float:
            caught.append(spectrum)
            return 0.0

        with (
            _methods(
                self.model,
                _spec=lambda _: None,
                _magnitude=lambda _: spectrogram,
                _mask=lambda _, masked: masked,
                _ispec=catch,
            ),
            _normalised(spectrogram, mixture),
        ):
            waves = self.model(mixture)
        return caught[0], waves


@contextmanager
def _methods(owner: Any, **stand_ins: Callable[..., Any]) -> Iterator[None]:
    """Let `stand_ins` take the place of methods of the object `owner`."""
    for name, stand_in in stand_ins.items():
        setattr(owner, name, stand_in)
    try:
        yield
    finally:
        for name in stand_ins:
            delattr(owner, name)


@contextmanager
def _normalised(*inputs: Tensor) -> Iterator[None]:
    """Let `inputs` say that their mean is 0 and their deviation 1, as it is, instead of working it out.

    An exported network would do so in one long float32 sum, which costs 20 dB of precision, or in bfloat16.
    """
    of_tensors = {"mean": (Tensor.mean, 0.0), "std": (Tensor.std, _KEPT)}
    for name, (method, value) in of_tensors.items():

        def known(self: Tensor, *args: Any, _method: Any = method, _value: float = value, **kwargs: Any) -> Tensor:
            if any(self is given for given in inputs):
                return torch.full((1,) * self.dim(), _value, device=self.device)
            found: Tensor = _method(self, *args, **kwargs)
            return found

        setattr(Tensor, name, known)
    try:
        yield
    finally:
        for name, (method, _) in of_tensors.items():
            setattr(Tensor, name, method)


def _flatten_transposed(model: nn.Module) -> None:
    """Let transposed convolutions along time run as two-dimensional ones of height one.

    The result is the same to the last bit; OpenVINO has fast kernels for the latter alone (bfloat16: 30 times).
    """
    for module in model.modules():
        if isinstance(module, nn.ConvTranspose1d):
            module.forward = partial(_flat, module)  # type: ignore[method-assign]


def _flat(module: nn.ConvTranspose1d, x: Tensor) -> Tensor:
    weight, stride, padding = module.weight[:, :, None], (1, *module.stride), (0, *module.padding)
    return functional.conv_transpose2d(x[:, :, None], weight, module.bias, stride, padding)[:, :, 0]


class SubModel:
    """One model of a bag, ready to run: `separate` maps windows to sources, `batch` of them at once.

    `segment` is its segment's length in samples; `window` says how many it wants to see for one of so many.
    """

    def __init__(self, model: Any, runtime: Runtime) -> None:
        self.model, self.digest = model.eval(), network_digest(model)
        self.segment = int(model.samplerate * model.segment)
        self.window: Callable[[int], int] = getattr(model, "valid_length", lambda length: length)
        self._spectral = isinstance(model, HDemucs | HTDemucs)
        silence = torch.zeros(1, 2, self.window(self.segment), device=runtime.device)
        example: tuple[Tensor, ...] = (silence,)
        if self._spectral:
            example = (model._magnitude(model._spec(silence)), silence)
        _flatten_transposed(model)
        module = Spectral(model) if self._spectral else model
        network = runtime.load(module, example, self.digest)
        exact = runtime.in_float32(module)
        self.separate = Batches(
            partial(self._separate, network),
            runtime.device,
            silence.shape[2],
            len(model.sources),
            partial(self._separate, exact) if exact else None,
        )

    @property
    def batch(self) -> int:
        return self.separate.size

    @torch.inference_mode()
    def _separate(self, network: Network, windows: Tensor, wanted: Sequence[int]) -> Tensor:
        """Return the sources whose numbers are `wanted`, in that order."""
        if not self._spectral:
            return network(windows)[0][:, list(wanted)]
        model: Any = self.model
        spectrum = model._spec(windows)
        spectrogram, mean, deviation = _normal(model._magnitude(spectrum))
        mixture, mean_t, deviation_t = _normal(windows)
        masked, waves = network(spectrogram, mixture)
        numbers = list(wanted)
        if model.cac and len(numbers) < waves.shape[1]:
            # The network's output is the spectra themselves, so those of no interest need not go back.
            masked, waves, numbers = masked[:, numbers], waves[:, numbers], list(range(len(numbers)))
        masked = masked.mul_((deviation / _KEPT)[:, None]).add_(mean[:, None])
        waves = waves.mul_((deviation_t / _KEPT)[:, None]).add_(mean_t[:, None])
        sources: Tensor = waves + model._ispec(model._mask(spectrum, masked), windows.shape[-1])
        return sources[:, numbers]


def _normal(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return `x` as the models normalise it, one of the batch at a time, with its mean and deviation."""
    dims = tuple(range(1, x.dim()))
    mean, deviation = x.mean(dims, keepdim=True), x.std(dims, keepdim=True)
    return (x - mean) / (_EPSILON + deviation), mean, deviation
