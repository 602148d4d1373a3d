"""`python -m bench.accuracy`: how close our stems come to those of `apply_model`, as a line of JSON, in dB."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import torch
from demucs.apply import apply_model

from bench import material, pipeline
from bench.material import Setup
from msas.settings import Settings
from worker.engines import Engine, MixtureStats, Samples, SeparationParams, demucs_weights
from worker.pipeline.decode import DecodableSong

SECONDS = 11  # two segments that overlap


def measure(setup: Setup) -> dict[str, float]:
    """Run this module in a process of its own, so that its two models do not stay in memory."""
    command = [sys.executable, "-m", "bench.accuracy"]
    answer = subprocess.run(command, env=dict(setup.environment), stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(answer.stdout)
    return found


def main() -> None:
    settings = Settings.from_environment()
    repo = material.model_repo(settings.cache_dir.expanduser())
    song = DecodableSong.open(material.song(settings.cache_dir.expanduser(), SECONDS))
    found = song.survey(material.RATE)
    mixture = np.concatenate(list(song.blocks(material.RATE)), axis=1)
    exact = pipeline.load(material.SIZED, repo, replace(settings, precision="float32"))
    theirs, ours = _by_apply_model(repo, mixture, found, exact.stems), _streamed(exact, mixture, found)
    measured = {"stream_vs_apply_db": _db(theirs, ours)}
    reduced = pipeline.load(material.SIZED, repo, settings)
    if reduced.precision != "float32":
        measured["reduced_precision_db"] = _db(ours, _streamed(reduced, mixture, found))
    print(json.dumps(measured))


def _streamed(engine: Engine, mixture: Samples, found: MixtureStats) -> Samples:
    parts = engine.separate(iter([mixture]), found, SeparationParams(engine.stems), lambda _: None)
    return np.concatenate([sources for _, sources in parts], axis=2)


def _by_apply_model(repo: object, mixture: Samples, found: MixtureStats, stems: tuple[str, ...]) -> Samples:
    model = demucs_weights.read(material.SIZED, repo)  # type: ignore[arg-type]
    deviation = found.deviation + 1e-8
    with torch.no_grad():
        normal = ((torch.from_numpy(mixture) - found.mean) / deviation)[None]
        sources = apply_model(model, normal, shifts=0, split=True, overlap=0.25)[0] * deviation + found.mean
    parts = list(model.models[0].sources if hasattr(model, "models") else model.sources)
    return np.stack([sources[parts.index(stem)].numpy() for stem in stems])


def _db(signal: Samples, other: Samples) -> float:
    """Return the worst stem's signal over its difference from the other, in dB."""
    difference = np.sum((signal.astype(np.float64) - other) ** 2, axis=(1, 2))
    return round(float(np.min(10 * np.log10(np.sum(signal.astype(np.float64) ** 2, axis=(1, 2)) / difference))), 1)


if __name__ == "__main__":
    main()
