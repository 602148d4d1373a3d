"""Measures a separation (seconds of each stage, quality of the stems) and builds the job's report."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from msas.job import Job, Stage
from msas.options import Options
from msas.report import MIXTURE, Report, SongFacts, Stem
from worker.engines import Engine, Samples
from worker.pipeline.decode import DecodableSong
from worker.pipeline.stem import EncodedStem
from worker.system import peak_rss_mb


class Stopwatch:
    """Measures the seconds of each stage."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._stage: Stage | None = None
        self._seconds: dict[Stage, float] = {}

    def enter(self, stage: Stage) -> None:
        now = time.monotonic()
        if self._stage:
            self._seconds[self._stage] = self._seconds.get(self._stage, 0.0) + now - self._since
        self._since, self._stage = now, stage

    def seconds(self) -> dict[str, float]:
        """Return the seconds of each stage so far, the current one's included."""
        if self._stage:
            self.enter(self._stage)
        return {stage.value: round(seconds, 3) for stage, seconds in self._seconds.items()}


class SumCheck:
    """Measures the mixture over its difference from the sum of all stems, before they are encoded."""

    def __init__(self, all_stems: bool) -> None:
        self._all, self._signal, self._difference = all_stems, 0.0, 0.0

    def add(self, mixture: Samples, sources: Samples) -> None:
        """Add a stretch: mixture of shape (2, n), sources of shape (stems, 2, n)."""
        if self._all:
            self._signal += _energy(mixture)
            self._difference += _energy(mixture - sources.sum(axis=0))

    def db(self) -> float | None:
        """Return the ratio in dB; None where not all stems were made, or one side is silent."""
        if not (0 < self._signal < math.inf and 0 < self._difference < math.inf):
            return None
        return round(10 * math.log10(self._signal / self._difference), 2)


def build_report(
    job: Job,
    options: Options,
    engine: Engine,
    mixture: DecodableSong,
    files: Mapping[str, EncodedStem],
    seconds: float,
    stopwatch: Stopwatch,
    check: SumCheck,
    analysis: Mapping[str, Any],
) -> Report:
    """Return the report on a job whose stems and mixture are stored, of `seconds` each; `analysis`: tempo and key."""
    stages = stopwatch.seconds()
    length = mixture.length / mixture.info.rate
    stems = {name: _describe_stem(name, options.format, file, seconds) for name, file in files.items()}
    mixture_stem = stems.pop(MIXTURE)
    return Report(
        songhash=job.songhash,
        name=job.name,
        options=options,
        model=engine.name,
        weights=engine.weights,
        device=engine.device,
        precision=engine.precision,
        song=SongFacts(round(length, 3), mixture.length, mixture.info.rate),
        stage_seconds=stages,
        encoding_cpu_seconds=round(sum(file.cpu_seconds for file in files.values()), 3),
        real_time_factor=round(length / max(sum(stages.values()), 1e-9), 2),
        peak_rss_mb=peak_rss_mb(),
        sum_db=check.db(),
        **analysis,
        stems=tuple(stems.values()),
        mixture=mixture_stem,
    )


def _describe_stem(name: str, extension: str, file: EncodedStem, seconds: float) -> Stem:
    return Stem(
        name=name,
        extension=extension,
        bytes=file.bytes,
        sha256=file.sha256,
        crc32=f"{file.crc32:08x}",
        seconds=seconds,
        peak=round(file.peak, 6),
        clipped_samples=file.clipped,
    )


def _energy(samples: Samples) -> float:
    return float(np.einsum("ct,ct->", samples, samples, dtype=np.float64))
