"""Findings of the workers, by what they say of themselves in Redis: the doctor need not run where they do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msas.doctor.finding import Finding, look, well, wrong
from msas.errors import QueueUnavailable
from msas.models import LITE
from msas.queue import Queue
from msas.queue.stats import QueueStats
from msas.settings import Settings

_GPU = Path("/dev/nvidia0")


def worker_findings(queue: Queue, settings: Settings) -> Iterator[Finding]:
    """Look for workers and what they offer; nothing is found where Redis does not answer."""
    try:
        numbers, offered = QueueStats(queue).count_jobs(), queue.advertised_models()
    except QueueUnavailable:
        return
    waiting = numbers.waiting + numbers.delayed
    if not numbers.workers:
        yield wrong("workers", f"No worker is there, and {waiting} songs wait: start one, or see why the last ended.")
    else:
        yield well("workers", f"Workers: {numbers.workers}. Songs in work: {numbers.running}; in line: {waiting}.")
    if offered is None:
        yield wrong(
            "models",
            "No worker has come up yet: a first start may take minutes; else its log says 'no model', and why.",
        )
        return
    yield _default(offered, settings)
    yield _weights(offered)
    yield _device(offered)


def _default(offered: Mapping[str, Any], settings: Settings) -> Finding:
    default = offered["default"]
    if settings.model_name not in ("auto", default):
        return look(
            "models",
            f"The workers' default model is {default}, but MODEL_NAME is {settings.model_name} here: "
            "give all processes the same.",
        )
    if settings.model_name == "auto" and default == LITE.name:
        return look(
            "models",
            "The default model is lite, a preview that is not Demucs, for the weights of htdemucs could not be had: "
            "give the worker a way to the model hub, or its cache from a machine that has them.",
        )
    return well("models", f"The default model is {default}; on offer: {_names(m['name'] for m in offered['models'])}.")


def _weights(offered: Mapping[str, Any]) -> Finding:
    cached = set(offered.get("cached", ()))
    to_fetch = [m["name"] for m in offered["models"] if m["name"] not in cached]
    if offered["default"] not in cached:
        return look(
            "weights", f"The weights of {offered['default']} are not in the worker's cache: keep CACHE_DIR on a volume."
        )
    more = f"; to be fetched when first asked for: {_names(to_fetch)}" if to_fetch else ""
    return well("weights", f"In the worker's cache: {_names(sorted(cached))}{more}.")


def _device(offered: Mapping[str, Any]) -> Finding:
    device, precision = offered.get("device", "unknown"), offered.get("precision", "unknown")
    if device.startswith("CPU") and _GPU.exists():
        return look(
            "device",
            "Workers compute on the CPU although this machine has an NVIDIA GPU: install PyTorch's build for CUDA, "
            "and set DEVICE=cuda to be told why it can not be used.",
        )
    return well("device", f"Workers compute on {device}, in {precision}.")


def _names(names: Any) -> str:
    return ", ".join(names)
