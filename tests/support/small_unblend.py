"""Small models with random weights of each architecture of unblend, as files of a model repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save_file

from worker.engines import unblend  # noqa: F401 (makes unblend importable beside a PyTorch for CPUs alone)

SEGMENT = 11_025  # samples, a quarter of a second
_ROFORMER: dict[str, Any] = {
    "dim": 16,
    "depth": 1,
    "stereo": True,
    "time_transformer_depth": 1,
    "freq_transformer_depth": 1,
    "dim_head": 8,
    "heads": 2,
    "stft_n_fft": 512,
    "stft_win_length": 512,
    "stft_hop_length": 128,
}
_SCNET: dict[str, Any] = {"dims": [4, 4, 8, 8], "nfft": 512, "hop_size": 128, "win_size": 512, "num_dplayer": 2}
_FOUR = ["drums", "bass", "other", "vocals"]
_DEMUCS: dict[str, Any] = {
    "sources": _FOUR,
    "channels": 8,
    "segment": 0.25,
    "bottom_channels": 32,
    "t_layers": 1,
    "t_heads": 2,
}
MODELS: dict[str, dict[str, Any]] = {
    "mel": {
        "architecture": "mel_band_roformer",
        "sources": ["vocals", "other"],
        "config": {**_ROFORMER, "num_stems": 1, "num_bands": 16},
    },
    "bs": {
        "architecture": "bs_roformer",
        "sources": ["bass", "drums", "other", "vocals", "guitar", "piano"],
        "config": {**_ROFORMER, "num_stems": 6, "freqs_per_bands": [1] * 17 + [8] * 10 + [16] * 10},
    },
    "scnet": {"architecture": "scnet", "sources": _FOUR, "config": _SCNET},
    "masked": {"architecture": "scnet_masked", "sources": _FOUR, "config": _SCNET},
    "hybrid": {"architecture": "htdemucs", "sources": _FOUR, "config": _DEMUCS},
}


def build(name: str) -> Any:
    """Return unblend's own model, the same at each call."""
    from unblend import backends, roformer, scnet  # noqa: F401 (these register their architectures)
    from unblend.htdemucs import HTDemucs

    torch.manual_seed(23)
    entry = MODELS[name]
    if entry["architecture"] == "htdemucs":
        return HTDemucs(**entry["config"]).eval()
    return backends.build(
        str(backends.backend_for_architecture(entry["architecture"])),
        entry["architecture"],
        entry["config"],
        sources=entry["sources"],
        samplerate=44_100,
        segment_samples=SEGMENT,
    ).eval()


def save(name: str, folder: Path, file_name: str = "", **changes: Any) -> Path:
    """Save a model as safetensors and YAML, with `changes` in the latter; return the file of the weights."""
    weights = folder / f"{file_name or name}.safetensors"
    save_file({key: value.clone().contiguous() for key, value in build(name).state_dict().items()}, weights)
    content = {**MODELS[name], "samplerate": 44_100, "segment_samples": SEGMENT, **changes}
    weights.with_suffix(".yaml").write_text(yaml.safe_dump(content))
    return weights
