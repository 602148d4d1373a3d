"""The lite engine: two U-Nets for vocals and accompaniment, then signal processing for drums, bass and other.

Each stem is the mixture's spectrogram under a mask, and the masks sum to one, so the stems sum to the mixture.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import bottleneck
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from msas.models import LITE
from worker.engines import lite_weights
from worker.engines.batch import Batches
from worker.engines.overlap_add import SegmentPlan, overlap_add, starts, triangle
from worker.engines.runtime import Network, Runtime, network_digest
from worker.engines.types import MixtureStats, Progress, Samples, SeparationParams
from worker.engines.unet import UNet

# Spleeter's analysis: Hann windows of 4096 samples every 1024, of which the networks see 1024 bins.
WINDOW, HOP, BINS, FRAMES = 4096, 1024, 1024, 512
SEGMENT = (FRAMES - 1) * HOP  # samples (11.9 s): with centred windows, exactly one patch of FRAMES

# Chosen on the song in the stempeg wheel; docs/models.md has the SDR that they gave.
HARMONIC_FRAMES, PERCUSSIVE_BINS = 31, 7  # lengths of the median filters: 0.72 s, 75 Hz
BASS_HZ, BASS_ORDER = 300.0, 4
_SILENCE = 1e-10


class _Both(nn.Module):
    """The two networks side by side, so that they are exported and run as one."""

    def __init__(self, vocals: UNet, accompaniment: UNet) -> None:
        super().__init__()
        self.vocals, self.accompaniment = vocals, accompaniment

    def forward(self, magnitude: Tensor) -> tuple[Tensor, Tensor]:
        return self.vocals(magnitude), self.accompaniment(magnitude)


class LiteEngine:
    """See Engine: a fast preview model, not Demucs."""

    name, rate, stems = LITE.name, 44100, LITE.stems

    def __init__(self, cache: Path, runtime: Runtime) -> None:
        """Load the weights from `cache`, fetched there first where absent. Raises ModelUnavailable."""
        networks = _Both(**lite_weights.load(cache))
        self.weights, self.device, self.precision = network_digest(networks), runtime.name, runtime.precision
        network = runtime.load(networks, [torch.zeros(1, 2, FRAMES, BINS, device=runtime.device)], self.weights)
        exact = runtime.in_float32(networks)
        self._window = torch.hann_window(WINDOW, device=runtime.device)
        bins = torch.arange(WINDOW // 2 + 1, device=runtime.device) * (self.rate / WINDOW)
        self._bass_mask = (1 / (1 + (bins / BASS_HZ) ** BASS_ORDER))[:, None]
        self._separate = Batches(
            partial(self._separate_windows, network),
            runtime.device,
            SEGMENT,
            len(self.stems),
            partial(self._separate_windows, exact) if exact else None,
        )

    def separate(
        self, blocks: Iterable[Samples], stats: MixtureStats, params: SeparationParams, progress: Progress
    ) -> Iterator[tuple[Samples, Samples]]:
        """See Engine."""
        run = partial(self._separate, wanted=[self.stems.index(stem) for stem in params.stems])
        runs = starts(stats.length, SEGMENT, params, self.rate)
        gains = np.full(len(params.stems), 1 / len(runs), np.float32)
        weight = triangle(SEGMENT)
        plans = [SegmentPlan(each, weight, gains, lambda size: size, run, self._separate.size) for each in runs]
        return overlap_add(blocks, stats.length, plans, progress)

    @torch.inference_mode()
    def _separate_windows(self, network: Network, windows: Tensor, wanted: Sequence[int]) -> Tensor:
        """Return the wanted stems, shape (batch, wanted, 2, n), of windows of at most SEGMENT samples."""
        return torch.stack([self._separate_window(network, window, wanted) for window in windows])

    def _separate_window(self, network: Network, mixture: Tensor, wanted: Sequence[int]) -> Tensor:
        spectrum = torch.stft(
            mixture, WINDOW, HOP, window=self._window, center=True, pad_mode="constant", return_complex=True
        )
        magnitude = spectrum.abs()
        vocals = _vocal_mask(network, magnitude)
        accompaniment = 1 - vocals
        drums = _percussive_mask((magnitude * accompaniment).mean(0))
        masks = [vocals, accompaniment * drums, accompaniment * ((1 - drums) * self._bass_mask)]
        masked = torch.empty(len(masks), *spectrum.shape, 2, device=spectrum.device)
        for out, mask in zip(masked, masks, strict=True):
            torch.mul(torch.view_as_real(spectrum), mask[..., None], out=out)
        spectra = torch.view_as_complex(masked).flatten(0, 1)
        waves = torch.istft(spectra, WINDOW, HOP, window=self._window, length=mixture.shape[1])
        made = waves.reshape(len(masks), *mixture.shape)
        # What is left is the fourth: its mask is what the others leave of one, and the transform is linear.
        return torch.cat([made, (mixture - made.sum(0))[None]])[list(wanted)]


def _vocal_mask(network: Network, magnitude: Tensor) -> Tensor:
    """Return the share of the vocals, 0 to 1, in each bin of `magnitude`, shape (2, bins, frames)."""
    frames = magnitude.shape[2]
    patch = functional.pad(magnitude[:, :BINS], (0, FRAMES - frames)).transpose(1, 2)[None]
    vocals, accompaniment = (estimate**2 for estimate in network(patch))
    mask = (vocals + _SILENCE / 2) / (vocals + accompaniment + _SILENCE)
    mask = mask[0].transpose(1, 2)[..., :frames]
    above = magnitude.shape[1] - BINS  # the networks see no higher: continue with the mean of what is below
    return torch.cat([mask, mask.mean(1, keepdim=True).expand(-1, above, -1)], dim=1)


def _percussive_mask(magnitude: Tensor) -> Tensor:
    """Return the percussive share, 0 to 1, of each bin of `magnitude`, shape (bins, frames).

    What lasts survives a median along time, what is broad one along frequency: D. FitzGerald,
    "Harmonic/percussive separation using median filtering" (DAFx 2010), with his soft masks.
    """
    harmonic = _running_median(magnitude, HARMONIC_FRAMES) ** 2
    percussive = _running_median(magnitude.T, PERCUSSIVE_BINS).T ** 2
    return percussive / (harmonic + percussive + _SILENCE)


def _running_median(values: Tensor, width: int) -> Tensor:
    """Return the median of `width` values centred on each, along the last axis; the ends are repeated."""
    half = width // 2
    padded = np.pad(values.cpu().numpy(), ((0, 0), (half, half)), mode="edge")
    return torch.from_numpy(bottleneck.move_median(padded, width, axis=1)[:, width - 1 :]).to(values.device)
