"""Measures how fast songs are separated: ours against Demucs' own, against `lite`, and against the machine's limit."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

import requests

from bench import material, roofline
from bench.contestant import Contestant
from bench.material import Setup
from local import Service
from msas.models import LITE
from msas_client import Client
from worker.engines import demucs_weights

TURNS = 3
SECONDS, CLIP_SECONDS, LONG_SECONDS, GPU_SECONDS = 17, 5, 60, 300  # of song: three segments, one, eleven, 52

Run = Callable[[Path, Path], Mapping[str, float]]
Turns = Mapping[str, list[float]]  # the seconds of each side, turn by turn


def measure(setup: Setup) -> dict[str, float]:
    """Separate a song of three segments, file to four MP3s: ours in two precisions, Demucs' own, `lite`."""
    contestants: dict[str, tuple[str, str, dict[str, str]]] = {
        "ours": ("ours", material.SIZED, {}),
        "separator": ("separator", material.SIZED, {}),
        "lite": ("ours", LITE.name, {}),
        "matmul": ("matmul", material.SIZED, {}),
    }
    if setup.precision != "float32":
        contestants["float32"] = ("ours", material.SIZED, {"PRECISION": "float32"})
        contestants["matmul32"] = ("matmul", material.SIZED, {"PRECISION": "float32"})
    with ExitStack() as stack:
        sides: dict[str, Run] = {
            name: stack.enter_context(Contestant(kind, model, {**setup.on_cpu, **variables})).run
            for name, (kind, model, variables) in contestants.items()
        }
        sides["service"] = stack.enter_context(_service(setup))
        took = _by_turns(sides, SECONDS, setup)
    return _compare({"float32": took["ours"], "matmul32": took["matmul"], **took}, _flops(setup, SECONDS))


def _compare(took: Turns, flops: float) -> dict[str, float]:
    """Return the figures of `measure`; `flops` are the network's floating-point operations for the song."""
    work = flops / roofline.matmul_flops("cpu")
    return {
        "demucs_vs_separator": _ratio(took, "separator", "ours"),
        "demucs_float32_vs_separator": _ratio(took, "separator", "float32"),
        "roofline_share": work * _ratio(took, "matmul", "ours"),
        "float32_roofline_share": work * _ratio(took, "matmul32", "float32"),
        "lite_vs_demucs": _ratio(took, "ours", "lite"),
        "overhead_share": _ratio(took, "service", "ours") - 1,
        "demucs_realtime": SECONDS / statistics.median(took["ours"]),
        "separator_realtime": SECONDS / statistics.median(took["separator"]),
        "lite_realtime": SECONDS / statistics.median(took["lite"]),
        "matmul_gflop_per_s": roofline.matmul_flops("cpu") / statistics.median(took["matmul"]) / 1e9,
        "matmul_float32_gflop_per_s": roofline.matmul_flops("cpu") / statistics.median(took["matmul32"]) / 1e9,
    }


def measure_command(setup: Setup) -> dict[str, float]:
    """Separate 5 s of song with our resident model, and with the `demucs` command, which loads it each time."""
    repo = str(material.model_repo(setup.cache))
    command = [sys.executable, "-m", "demucs.separate", "-n", material.SIZED, "--repo", repo, "--mp3", "--shifts=0"]

    def run_command(song: Path, folder: Path) -> dict[str, float]:
        since = time.monotonic()
        subprocess.run([*command, "-d", "cpu", "-o", str(folder), str(song)], check=True, capture_output=True)
        return {"seconds": time.monotonic() - since}

    with Contestant("ours", material.SIZED, setup.on_cpu) as ours:
        took = _by_turns({"ours": ours.run, "command": run_command}, CLIP_SECONDS, setup)
    return {"demucs_vs_cli_5s": _ratio(took, "command", "ours")}


def measure_encoders(setup: Setup) -> dict[str, float]:
    """Separate a minute of song with and without encoders."""
    with (
        Contestant("ours", material.SIZED, setup.on_cpu) as ours,
        Contestant("ours-unencoded", material.SIZED, setup.on_cpu) as unencoded,
    ):
        took = _by_turns({"ours": ours.run, "unencoded": unencoded.run}, LONG_SECONDS, setup)
    return {"encode_share": 1 - _ratio(took, "unencoded", "ours")}


def measure_gpu(setup: Setup) -> dict[str, float]:
    """Separate five minutes of song on the GPU."""
    kinds = ("ours", "separator", "matmul")
    with ExitStack() as stack:
        sides = {kind: stack.enter_context(Contestant(kind, material.SIZED, setup.environment)).run for kind in kinds}
        took = _by_turns(sides, GPU_SECONDS, setup)
    multiplied = roofline.matmul_flops("cuda")
    return {
        "gpu_realtime": GPU_SECONDS / statistics.median(took["ours"]),
        "gpu_vs_separator": _ratio(took, "separator", "ours"),
        "gpu_roofline_share": _flops(setup, GPU_SECONDS) / multiplied * _ratio(took, "matmul", "ours"),
        "gpu_matmul_gflop_per_s": multiplied / statistics.median(took["matmul"]) / 1e9,
    }


def _ratio(took: Turns, side: str, other: str) -> float:
    """Return the median over the turns of one side's seconds over the other's: a busy moment slows both."""
    return statistics.median(ours / theirs for ours, theirs in zip(took[side], took[other], strict=True))


def _flops(setup: Setup, seconds: float) -> float:
    model = demucs_weights.read(material.SIZED, material.model_repo(setup.cache))
    [network] = getattr(model, "models", [model])
    return roofline.count_flops(network, seconds)


def _by_turns(sides: Mapping[str, Run], seconds: float, setup: Setup) -> Turns:
    """Let all sides separate a song, one after the other, again and again."""
    song = material.song(setup.cache, seconds)
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(TURNS):
        for name, run in sides.items():
            found[name].append(run(song, setup.out / name)["seconds"])
    print("  " + ", ".join(f"{name} {'/'.join(f'{s:.2f}' for s in took)} s" for name, took in found.items()))
    return found


@contextmanager
def _service(setup: Setup) -> Iterator[Run]:
    """Start the whole service; give a function that sends a song and waits until its stems are stored.

    The function's seconds are those between the times at which the job was enqueued and ended.
    """
    model = {"MODEL_NAME": material.SIZED, "MODEL_REPO": str(material.model_repo(setup.cache))}
    with Service(setup.out / "data", None, {**setup.on_cpu, **model}) as service:

        def run(song: Path, _: Path) -> dict[str, float]:
            with Client(service.address) as client:
                songhash = client.separate(song).songhash
                client.wait(songhash)
                status = requests.get(f"{service.url}/apiv1/status/{songhash}", timeout=10).json()
                client.remove(songhash)
            began, ended = (datetime.fromisoformat(status[name]) for name in ("enqueued_at", "ended_at"))
            return {"seconds": (ended - began).total_seconds()}

        run(material.song(setup.cache, material.WARM_UP_SECONDS), setup.out)
        yield run
