"""The lite engine: two U-Nets for vocals and accompaniment, then signal processing for drums, bass and other.

Every step multiplies the mixture's spectrogram by masks that sum to one, so the stems sum to the mixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import bottleneck
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from msas.models import LITE
from worker.engines import lite_weights
from worker.engines.engine import Progress, Samples

# Spleeter's analysis: Hann windows of 4096 samples every 1024, of which the networks see 1024 bins.
WINDOW, HOP, BINS, FRAMES = 4096, 1024, 1024, 512
SEGMENT = (FRAMES - 1) * HOP  # samples (11.9 s): with centred windows, exactly one patch of FRAMES
FADE = 64 * HOP  # samples (1.5 s) that neighbouring segments share

# Chosen on the song in the stempeg wheel; the README says what they gave.
HARMONIC_FRAMES, PERCUSSIVE_BINS = 31, 7  # lengths of the median filters: 0.72 s, 75 Hz
BASS_HZ, BASS_ORDER = 300.0, 4
_SILENCE = 1e-10


class LiteEngine:
    """See Engine: a fast preview model, not Demucs."""

    name, rate, stems = LITE.name, 44100, LITE.stems

    def __init__(self, cache: Path) -> None:
        """Load the weights from `cache`, fetched there first where absent. Raises ModelUnavailable."""
        self._networks = lite_weights.load(cache)
        self._window = torch.hann_window(WINDOW)
        self._fade_in = np.linspace(0, 1, FADE, dtype=np.float32)
        bins = torch.arange(WINDOW // 2 + 1) * (self.rate / WINDOW)
        self._bass_mask = (1 / (1 + (bins / BASS_HZ) ** BASS_ORDER))[:, None]

    @torch.inference_mode()
    def separate(self, mixture: Samples, progress: Progress) -> dict[str, Samples]:
        """See Engine. Segments overlap by FADE and are cross-faded linearly."""
        length = mixture.shape[1]
        out = np.zeros((len(self.stems), *mixture.shape), np.float32)
        for start, end in _segments(length):
            sources = self._separate_segment(torch.from_numpy(mixture[:, start:end])).numpy()
            if start > 0:
                out[..., start : start + FADE] *= 1 - self._fade_in
                sources[..., :FADE] *= self._fade_in
            out[..., start:end] += sources
            progress(end / length)
        return dict(zip(self.stems, out, strict=True))

    def _separate_segment(self, mixture: Tensor) -> Tensor:
        """Return the stems, shape (4, 2, n), of at most SEGMENT samples, shape (2, n)."""
        spectrum = torch.stft(
            mixture, WINDOW, HOP, window=self._window, center=True, pad_mode="constant", return_complex=True
        )
        vocals = self._vocal_mask(spectrum.abs())
        accompaniment = spectrum * (1 - vocals)
        drums = _percussive_mask(accompaniment.abs().mean(0))
        bass = (1 - drums) * self._bass_mask
        spectra = torch.stack(
            [spectrum * vocals, accompaniment * drums, accompaniment * bass, accompaniment * (1 - drums - bass)]
        )
        waves = torch.istft(spectra.flatten(0, 1), WINDOW, HOP, window=self._window, length=mixture.shape[1])
        return waves.reshape(len(self.stems), *mixture.shape)

    def _vocal_mask(self, magnitude: Tensor) -> Tensor:
        """Return the share of the vocals, 0 to 1, in each bin of `magnitude`, shape (2, bins, frames)."""
        frames = magnitude.shape[2]
        patch = functional.pad(magnitude[:, :BINS], (0, FRAMES - frames)).transpose(1, 2)[None]
        vocals = self._networks["vocals"](patch) ** 2
        accompaniment = self._networks["accompaniment"](patch) ** 2
        mask = (vocals + _SILENCE / 2) / (vocals + accompaniment + _SILENCE)
        mask = mask[0].transpose(1, 2)[..., :frames]
        above = magnitude.shape[1] - BINS  # the networks see no higher: continue with the mean of what is below
        return torch.cat([mask, mask.mean(1, keepdim=True).expand(-1, above, -1)], dim=1)


def _segments(length: int) -> Iterator[tuple[int, int]]:
    """Yield start and end, in samples, of the segments that cover `length` samples."""
    start = 0
    while start + SEGMENT < length:
        yield start, start + SEGMENT
        start += SEGMENT - FADE
    yield start, length


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
    padded = np.pad(values.numpy(), ((0, 0), (half, half)), mode="edge")
    return torch.from_numpy(bottleneck.move_median(padded, width, axis=1)[:, width - 1 :])
