"""Runs networks on a device (GPU, CPU) in a precision, by PyTorch or as exports to OpenVINO."""

from __future__ import annotations

import atexit
import fcntl
import gc
import hashlib
import inspect
import logging
import multiprocessing
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from multiprocessing.context import ForkServerContext, SpawnContext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor, nn

from msas.logs import log
from msas.settings import Settings, SettingsError
from worker.system import cores

# OpenVINO sends usage statistics when it is imported, unless this package is missing.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
if TYPE_CHECKING:
    from openvino import Core

Network: TypeAlias = Callable[..., tuple[Tensor, ...]]

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_HINTS = {"float32": "f32", "bfloat16": "bf16"}
EXPORT_APART: SpawnContext | ForkServerContext = multiprocessing.get_context("spawn")
_log = logging.getLogger("msas.worker")


class Runtime:
    """The device and the precision that every network of this worker runs with."""

    def __init__(self, settings: Settings) -> None:
        """Choose them by DEVICE and PRECISION. Raises SettingsError where this machine does not have them."""
        self._cache = settings.cache_dir.expanduser() / "openvino"
        self.device = _device(settings.device)
        self.threads = cores()
        torch.set_num_threads(self.threads)
        self._core: Core | None = None
        self.precision = self._precision(settings.precision)
        # On GPUs PyTorch would round a convolution's float32 to TF32's 10 bits.
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = self.precision != "float32"

    def load(self, network: nn.Module, example: Sequence[Tensor], digest: str) -> Network:
        """Make `network` ready to run; the result maps tensors on `device` to a tuple of float32 tensors.

        On the CPU it is exported for inputs shaped like `example`, once for all workers that share the cache;
        inputs of other shapes, and networks that can not be exported, run in PyTorch. `digest` names the network
        with its weights.
        """
        network = network.to(self.device).eval().requires_grad_(False)
        in_torch = self._in_torch(network, _DTYPES[self.precision])
        shapes = [tuple(tensor.shape) for tensor in example]
        compiled = self._compiled(network, example, digest) if self.device.type == "cpu" else None
        if compiled is None:
            return in_torch

        def run(*inputs: Tensor) -> tuple[Tensor, ...]:
            if [tuple(tensor.shape) for tensor in inputs] != shapes:
                return in_torch(*inputs)
            outputs = compiled([tensor.contiguous().numpy() for tensor in inputs])
            return tuple(torch.from_numpy(outputs[index]) for index in range(len(outputs)))

        return run

    def in_float32(self, network: nn.Module) -> Network | None:
        """Return `network`, which `load` made ready, as it runs in float32; None where it does so already."""
        return None if self.precision == "float32" else self._in_torch(network, torch.float32)

    def free_memory(self) -> None:
        """Free the memory of networks that are no longer used, also of those with reference cycles."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    @property
    def name(self) -> str:
        """Return the device's name, for people."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return f"CPU, {self.threads} thread{'s' if self.threads > 1 else ''}"

    def _precision(self, wanted: str) -> str:
        known = self._reduced()
        if wanted == "auto":
            return known[0] if known else "float32"
        if wanted not in ("float32", *known):
            raise SettingsError(
                f"PRECISION={wanted} is not to be had on this {self.device.type.upper()}; "
                f"choose one of: {', '.join(['auto', 'float32', *known])}."
            )
        return wanted

    def _reduced(self) -> list[str]:
        """Return the reduced precisions that the hardware has, the best first."""
        if self.device.type == "cuda":
            # bfloat16 first: it has float32's range, so nothing overflows.
            return [*(["bfloat16"] if torch.cuda.is_bf16_supported(including_emulation=False) else []), "float16"]
        return ["bfloat16"] if "BF16" in self._openvino().get_property("CPU", "OPTIMIZATION_CAPABILITIES") else []

    def _openvino(self) -> Core:
        if self._core is None:
            from openvino import Core

            self._core = Core()
        return self._core

    def _in_torch(self, network: nn.Module, dtype: torch.dtype) -> Network:
        def run(*inputs: Tensor) -> tuple[Tensor, ...]:
            with torch.inference_mode(), torch.autocast(self.device.type, dtype, dtype != torch.float32):
                outputs = network(*inputs)
            return tuple(out.float() for out in (outputs if isinstance(outputs, tuple) else (outputs,)))

        return run

    def _compiled(self, network: nn.Module, example: Sequence[Tensor], digest: str) -> Callable[[Any], Any] | None:
        name = f"{_export_name(network, example, digest)}.xml"
        for folder in self._folders():
            path = folder / name
            try:
                _export_once(network, example, path)
                if not path.is_file():
                    break  # another folder would not help
                return self._compile(path)
            except OSError as error:
                log.event(_log, "cache not writable", logging.WARNING, why=str(error))
            except RuntimeError as error:
                log.event(_log, "export damaged", logging.WARNING, path=str(path), why=str(error)[:200])
                with suppress(OSError):
                    path.unlink()  # the next start exports it again
        log.event(_log, "network runs in PyTorch", logging.WARNING, why="it could not be exported")
        return None

    def _folders(self) -> Iterator[Path]:
        """Yield the folders for exports: the cache, then, where that is read-only as in images, a temporary folder."""
        yield self._cache
        yield _own_folder()

    def _compile(self, path: Path) -> Callable[[Any], Any]:
        """Compile an export for this CPU. Raises RuntimeError where it is damaged."""
        options = {
            "INFERENCE_PRECISION_HINT": _HINTS[self.precision],
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": self.threads,
        }
        compiled: Callable[[Any], Any] = self._openvino().compile_model(path, "CPU", options)
        return compiled


def network_digest(network: nn.Module) -> str:
    """Return the SHA-256 of the network's class, shape and weights, as 64 hex characters."""
    found = hashlib.sha256(f"{type(network).__name__} {getattr(network, '_init_args_kwargs', None)}".encode())
    for name, tensor in sorted(network.state_dict().items()):
        found.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        found.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()


@cache
def _own_folder() -> Path:
    """Return a temporary folder, deleted when this process ends."""
    folder = tempfile.TemporaryDirectory(prefix="msas-exports-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


def _device(wanted: str) -> torch.device:
    if wanted == "cuda" and not torch.cuda.is_available():
        raise SettingsError(
            "DEVICE=cuda was asked for, but PyTorch finds no GPU here; check the driver and that this PyTorch "
            "is a CUDA build, or set DEVICE=cpu (auto takes a GPU only where there is one)."
        )
    return torch.device("cuda" if wanted == "cuda" or (wanted == "auto" and torch.cuda.is_available()) else "cpu")


def _export_name(network: nn.Module, example: Sequence[Tensor], digest: str) -> str:
    """Return an export's name, made from weights, shapes, versions, and the code around the network."""
    shapes = [tuple(tensor.shape) for tensor in example]
    ours = sorted({type(each).__module__ for each in network.modules() if type(each).__module__.startswith("worker.")})
    code = [inspect.getsource(sys.modules[name]) for name in ours]
    everything = f"{digest} {shapes} {version('torch')} {version('openvino')} {version('demucs')} {code}"
    return hashlib.sha256(everything.encode()).hexdigest()[:32]


def _export_once(network: nn.Module, example: Sequence[Tensor], path: Path) -> None:
    """Export the network, unless it is exported; wait where another worker is exporting it."""
    if path.is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        with suppress(OSError):  # some network file systems have no locks; then each worker exports by itself
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.is_file():
            log.event(_log, "exporting network", to=path.name)
            _export_apart(network, example, path)


def _export_apart(network: nn.Module, example: Sequence[Tensor], path: Path) -> None:
    """Export in a separate process, since it needs four times the memory of the network."""
    # In a file: PyTorch would pass tensors through /dev/shm, which is small in containers.
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        handed_over = Path(folder) / "network"
        torch.save((network, tuple(example)), handed_over)
        child = EXPORT_APART.Process(target=_export, args=(handed_over, path))
        child.start()
        child.join()


def _export(handed_over: Path, path: Path) -> None:
    from openvino import convert_model, save_model

    network, example = torch.load(handed_over, weights_only=False)  # written by the parent process
    shapes = [list(tensor.shape) for tensor in example]
    with warnings.catch_warnings(), torch.no_grad(), tempfile.TemporaryDirectory(dir=path.parent) as folder:
        warnings.simplefilter("ignore")  # of the tracer, that shapes become constants, as they should
        model = convert_model(network, example_input=example, input=shapes)
        save_model(model, Path(folder) / path.name, compress_to_fp16=False)
        for suffix in (".bin", ".xml"):  # the .xml last, so that its weights exist
            (Path(folder) / path.name).with_suffix(suffix).replace(path.with_suffix(suffix))
