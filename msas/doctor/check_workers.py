"""Checks the workers, from what they store in Redis: leases, models, cached weights, device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msas.doctor.finding import Finding, error, ok, warning
from msas.errors import QueueUnavailable
from msas.models import LITE
from msas.queue import Queue
from msas.queue.stats import QueueStats
from msas.settings import Settings

_GPU = Path("/dev/nvidia0")


def check_workers(queue: Queue, settings: Settings) -> Iterator[Finding]:
    """Yield the findings about workers and their models; none where Redis does not answer."""
    try:
        counts, offered = QueueStats(queue).count_jobs(), queue.advertised_models()
    except QueueUnavailable:
        return
    waiting = counts.waiting + counts.delayed
    if not counts.workers:
        yield error(
            "workers", f"No worker runs, and {waiting} songs wait: start one, or find out why the last one ended."
        )
    else:
        yield ok("workers", f"Workers: {counts.workers}. Songs running: {counts.running}; waiting: {waiting}.")
    if offered is None:
        yield error(
            "models",
            "No worker has started yet: a first start may take minutes; otherwise its log has an event 'no model'.",
        )
        return
    yield _check_default(offered, settings)
    yield _check_weights(offered)
    yield _check_device(offered)


def _check_default(offered: Mapping[str, Any], settings: Settings) -> Finding:
    default = offered["default"]
    if settings.model_name not in ("auto", default):
        return warning(
            "models",
            f"The workers' default model is {default}, but MODEL_NAME is {settings.model_name} here: "
            "set the same MODEL_NAME for all processes.",
        )
    if settings.model_name == "auto" and default == LITE.name:
        return warning(
            "models",
            "The default model is lite, a preview that is not Demucs, because the weights of htdemucs could not be "
            "fetched: let the worker reach the model hub, or copy the cache of a machine that has them.",
        )
    return ok("models", f"The default model is {default}; offered: {_names(m['name'] for m in offered['models'])}.")


def _check_weights(offered: Mapping[str, Any]) -> Finding:
    cached = set(offered.get("cached", ()))
    to_fetch = [m["name"] for m in offered["models"] if m["name"] not in cached]
    if offered["default"] not in cached:
        return warning(
            "weights", f"The weights of {offered['default']} are not in the worker's cache: put CACHE_DIR on a volume."
        )
    more = f"; fetched at first use: {_names(to_fetch)}" if to_fetch else ""
    return ok("weights", f"In the worker's cache: {_names(sorted(cached))}{more}.")


def _check_device(offered: Mapping[str, Any]) -> Finding:
    device, precision = offered.get("device", "unknown"), offered.get("precision", "unknown")
    if device.startswith("CPU") and _GPU.exists():
        return warning(
            "device",
            "Workers compute on the CPU although this machine has an NVIDIA GPU: install PyTorch's build for CUDA, "
            "and set DEVICE=cuda to learn why the GPU can not be used.",
        )
    return ok("device", f"Workers compute on {device} in {precision}.")


def _names(names: Any) -> str:
    return ", ".join(names)
