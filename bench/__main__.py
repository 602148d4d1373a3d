"""`python -m bench [PART ...] [--long] [--save]`: measure, and print each figure beside its bar.

Sides that are compared take turns in one run, each in a process of its own; the figures are medians and their ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bench import (
    accuracy,
    bars,
    crowd,
    machine,
    memory,
    mix_speed,
    queue_crashes,
    queue_speed,
    redis_bytes,
    rest_speed,
    separation_speed,
    upkeep_speed,
)
from bench.material import Setup
from msas.settings import Settings, SettingsError

RESULTS = Path(__file__).parent / "results"
Part = Callable[[Setup], dict[str, float]]
PARTS: dict[str, Part] = {
    "queue": queue_speed.measure,
    "redis": redis_bytes.measure,
    "crashes": queue_crashes.measure,
    "upkeep": upkeep_speed.measure,
    "rest": rest_speed.measure,
    "mix": mix_speed.measure,
    "crowd": crowd.measure,
    "accuracy": accuracy.measure,
    "speed": separation_speed.measure,
    "command": separation_speed.measure_command,
    "memory": memory.measure,
}
LONG: dict[str, Part] = {
    "long_crowd": crowd.measure_long,
    "encoders": separation_speed.measure_encoders,
    "hour": memory.measure_hour,
    "marathon": memory.measure_marathon,
}
GPU: dict[str, Part] = {"gpu": separation_speed.measure_gpu}


def main() -> int:
    parser = _parser()
    asked = parser.parse_args()
    known = {**PARTS, **LONG, **GPU}
    if unknown := set(asked.parts) - set(known):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; choose from {', '.join(known)}.")
    if asked.save and asked.parts:
        parser.error("--save keeps a whole run; leave the parts out.")
    try:
        settings = _settings()
        description = machine.describe(settings)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    whole = {**PARTS, **(LONG if asked.long else {}), **(GPU if settings.device == "cuda" else {})}
    parts = {name: known[name] for name in asked.parts or whole}
    print(*(f"{key:16} {value}" for key, value in description.items()), sep="\n", flush=True)
    measured = _measure(parts, settings, str(description["precision"]))
    missed = [key for key, value in measured.items() if bars.is_missed(key, value)]
    print(f"Bars missed: {', '.join(missed) or 'none'}.")
    if asked.save:
        path = RESULTS / f"{description['kind']}.json"
        path.write_text(json.dumps({"machine": description, "measured": measured}, indent=2) + "\n")
        print(f"Written to {path}.")
    return 0


def _settings() -> Settings:
    """Read the settings; measure on the CPU unless DEVICE says otherwise."""
    settings = Settings.from_environment()
    return settings if settings.device == "cuda" else replace(settings, device="cpu")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"only these: {', '.join([*PARTS, *LONG, *GPU])}", default=[]
    )
    parser.add_argument("--long", action="store_true", help=f"also measure: {', '.join(LONG)}")
    parser.add_argument("--save", action="store_true", help="write the figures to bench/results, by kind of machine")
    return parser


def _measure(parts: dict[str, Part], settings: Settings, precision: str) -> dict[str, float]:
    """Run the parts one after the other; print their figures as they come."""
    environment = {**os.environ, **settings.to_environment()}
    measured: dict[str, float] = {}
    began = time.monotonic()
    for name, part in parts.items():
        since = time.monotonic()
        print(f"\n{name}", flush=True)
        with tempfile.TemporaryDirectory(prefix="msas-bench-") as folder:
            found = part(Setup(environment, settings.cache_dir.expanduser(), Path(folder), precision))
        for key, value in found.items():
            measured[key] = round(value, 3)
            print(bars.line(key, value), flush=True)
        print(f"  in {time.monotonic() - since:.0f} s", flush=True)
    print(f"\nAll in {time.monotonic() - began:.0f} s.")
    return measured


if __name__ == "__main__":
    sys.exit(main())
