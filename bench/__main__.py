"""`python -m bench [--long]`: measure, print a table, and write bench/results.json.

Whatever is compared takes turns in one run, each side in a process of its own; what counts are medians and ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import requests

from bench import ingest, marathon, material, queueing
from bench.contestant import Contestant
from local import Service
from msas.models import LITE
from msas.settings import Settings
from msas_client import Client
from worker.machine import cores

RESULTS = Path(__file__).parent / "results.json"
TURNS = 3
# What we want of each figure: at least, or at most, so much.
AT_LEAST = {
    "demucs_vs_cli_10s": 4.0,
    "demucs_vs_separator_60s": 2.5,
    "demucs_float32_vs_separator_60s": 1.4,
    "reduced_precision_db": 40.0,
    "stream_vs_apply_db": 100.0,
    "lite_realtime": 20.0,
    "enqueue_per_s": 3000.0,
    "dispatch_jobs_per_s": 500.0,
    "ingest_vs_put": 0.5,
    "ingest_raw_vs_put": 0.8,
    "track_vs_get": 0.5,
}
AT_MOST = {
    "encode_share": 0.10,
    "overhead_share": 0.10,
    "scale_lost": 0.0,
    "scale_doubled": 0.0,
    "rest_peak_rss_mb": 600.0,
}

Run = Callable[[Path, Path], dict[str, float]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument(
        "--long", action="store_true", help="also an hour of song through a full-size Demucs, and three through lite"
    )
    chosen = parser.parse_args()
    settings = Settings.from_environment()
    cache = settings.cache_dir.expanduser()
    environment = {**os.environ, **settings.to_environment()}
    measured: dict[str, float] = {}
    since = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="msas-bench-") as folder:
        out = Path(folder)
        _note(measured, queueing.measure(out))
        _note(measured, ingest.measure(environment, cache, out))
        for part in (_accuracy, _demucs_60s, _demucs_10s, _lite):
            _note(measured, part(environment, cache, out))
        for model, prefix in ((LITE.name, ""), *([(material.SIZED, "demucs_")] if chosen.long else [])):
            _note(measured, _memory(environment, cache, out, model, prefix))
        if chosen.long:
            _note(measured, marathon.run(cache, out / "marathon"))
        if settings.device == "cuda":
            _note(measured, _gpu(environment, cache, out))
    RESULTS.write_text(json.dumps({"machine": _machine(), "measured": measured}, indent=2) + "\n")
    print(f"\nIn {time.monotonic() - since:.0f} s; written to {RESULTS.relative_to(Path.cwd())}.")
    return 0


def _accuracy(environment: Mapping[str, str], *_: Path) -> dict[str, float]:
    said = subprocess.run([sys.executable, "-m", "bench.accuracy"], env=environment, stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(said.stdout)
    return found


def _demucs_60s(environment: Mapping[str, str], cache: Path, out: Path) -> dict[str, float]:
    """A minute through a full-size Demucs: ours, without encoders, in float32, through the service; Demucs' own."""
    on_cpu = {**environment, "DEVICE": "cpu"}
    with ExitStack() as stack:

        def contestant(kind: str, **variables: str) -> Run:
            return stack.enter_context(Contestant(kind, material.SIZED, {**on_cpu, **variables})).run

        sides: dict[str, Run] = {
            "ours": contestant("ours"),
            "unencoded": contestant("ours-unencoded"),
            "float32": contestant("ours", PRECISION="float32"),
            "separator": contestant("separator"),
            "service": stack.enter_context(_service(on_cpu, cache, out)),
        }
        took = _by_turns(sides, material.song(cache, 60), out)
    return {
        "demucs_vs_separator_60s": took["separator"] / took["ours"],
        "demucs_float32_vs_separator_60s": took["separator"] / took["float32"],
        "encode_share": 1 - took["unencoded"] / took["ours"],
        "overhead_share": took["service"] / took["ours"] - 1,
        "demucs_60s_seconds": took["ours"],
        "separator_60s_seconds": took["separator"],
    }


def _demucs_10s(environment: Mapping[str, str], cache: Path, out: Path) -> dict[str, float]:
    """A clip of 10 s: our resident model, and the `demucs` command, which loads it anew each time."""
    repo = str(material.model_repo(cache))
    command = [sys.executable, "-m", "demucs.separate", "-n", material.SIZED, "--repo", repo, "--mp3", "--shifts=0"]

    def cli(song: Path, folder: Path) -> dict[str, float]:
        since = time.monotonic()
        subprocess.run([*command, "-d", "cpu", "-o", str(folder), str(song)], check=True, capture_output=True)
        return {"seconds": time.monotonic() - since}

    with Contestant("ours", material.SIZED, {**environment, "DEVICE": "cpu"}) as ours:
        took = _by_turns({"ours": ours.run, "cli": cli}, material.song(cache, 10), out)
    return {"demucs_vs_cli_10s": took["cli"] / took["ours"]}


def _lite(environment: Mapping[str, str], cache: Path, out: Path) -> dict[str, float]:
    with Contestant("ours", LITE.name, {**environment, "DEVICE": "cpu"}) as ours:
        took = _by_turns({"ours": ours.run}, material.song(cache, 60), out)
    return {"lite_realtime": 60 / took["ours"]}


def _memory(environment: Mapping[str, str], cache: Path, out: Path, model: str, prefix: str) -> dict[str, float]:
    """The most memory that a fresh process holds for a song of five minutes, and of an hour."""
    found = {}
    for minutes in (5, 60):
        with Contestant("ours", model, environment) as ours:
            peak = ours.run(material.song(cache, minutes * 60), out)["peak_rss_mb"]
        found[f"{prefix}rss_mb_{minutes}min"] = peak
    return found


def _gpu(environment: Mapping[str, str], cache: Path, out: Path) -> dict[str, float]:
    with (
        Contestant("ours", material.SIZED, environment) as ours,
        Contestant("separator", material.SIZED, environment) as separator,
    ):
        took = _by_turns({"ours": ours.run, "separator": separator.run}, material.song(cache, 300), out)
    return {"gpu_realtime": 300 / took["ours"], "gpu_vs_separator": took["separator"] / took["ours"]}


def _by_turns(sides: Mapping[str, Run], song: Path, out: Path) -> dict[str, float]:
    """Let all sides separate `song`, one after the other, again and again; return the median seconds of each.

    The first turn warms up and does not count.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(TURNS + 1):
        for name, run in sides.items():
            took = run(song, out / name)["seconds"]
            if turn:
                seconds[name].append(took)
    print("  " + ", ".join(f"{name} {'/'.join(f'{s:.2f}' for s in took)} s" for name, took in seconds.items()))
    return {name: statistics.median(took) for name, took in seconds.items()}


@contextmanager
def _service(environment: Mapping[str, str], cache: Path, out: Path) -> Iterator[Run]:
    """Start the whole service; give a function that sends a song and waits until its stems are stored.

    Its seconds are those from the job's being enqueued to its end.
    """
    repo = str(material.model_repo(cache))
    with Service(out / "data", None, {**environment, "MODEL_NAME": material.SIZED, "MODEL_REPO": repo}) as service:

        def run(song: Path, _: Path) -> dict[str, float]:
            with Client(service.address) as client:
                songhash = client.separate(song).songhash
                client.wait(songhash)
                status = requests.get(f"{service.url}/apiv1/status/{songhash}", timeout=10).json()
                client.remove(songhash)
            began, ended = (datetime.fromisoformat(status[name]) for name in ("enqueued_at", "ended_at"))
            return {"seconds": (ended - began).total_seconds()}

        yield run


def _note(measured: dict[str, float], found: Mapping[str, float]) -> None:
    for key, value in found.items():
        measured[key] = round(value, 3)
        wanted = (
            f"at least {AT_LEAST[key]:g}" if key in AT_LEAST else f"at most {AT_MOST[key]:g}" if key in AT_MOST else ""
        )
        print(f"{key:34} {value:10.3f}  {wanted}", flush=True)


def _machine() -> dict[str, str | int]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    processor = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    flags = next((line for line in lines if line.startswith("flags")), "")
    return {
        "processor": processor,
        "cores": cores(),
        "bfloat16": ", ".join(name for name in ("amx_bf16", "avx512_bf16") if name in flags) or "none",
        "torch": version("torch"),
        "openvino": version("openvino"),
        "demucs": version("demucs"),
        "measured_at": datetime.now(UTC).isoformat(timespec="minutes"),
    }


if __name__ == "__main__":
    sys.exit(main())
