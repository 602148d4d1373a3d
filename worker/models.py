"""Chooses the models that this worker offers, and loads and keeps their engines."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from msas.errors import ModelUnavailable
from msas.logs import log
from msas.models import CATALOGUE, LITE, Model
from msas.settings import Settings
from worker.engines import Engine, demucs_weights
from worker.engines.runtime import Runtime
from worker.fetch_models import ONLY_WEIGHTS
from worker.library import Library
from worker.metrics import WorkerMetrics

AUTO, BEST = "auto", "htdemucs"
AUTO_FETCH_SECONDS = 20

_log = logging.getLogger("msas.worker")


class Models:
    """Decides at the start which models this worker offers; loads each engine when it is first needed."""

    def __init__(self, settings: Settings, runtime: Runtime, metrics: WorkerMetrics) -> None:
        """Raises ModelUnavailable where the default model can not be loaded."""
        self._runtime, self._metrics = runtime, metrics
        self._library = Library(settings)
        self._allowed = settings.allowed_models()
        self._check_allowed()
        self.default = self._choose(settings.model_name)
        self._resident = self._load(self.default)
        self._other: Engine | None = None
        self.offer = self._offer()

    @property
    def about(self) -> dict[str, Any]:
        """Return the device and precision that models run with, and which of the offered models are in the cache."""
        cached = [model.name for model in self.offer if self._library.is_cached(model.name)]
        return {"device": self._runtime.name, "precision": self._runtime.precision, "cached": cached}

    def engine(self, name: str) -> Engine:
        """Return the engine of the model `name`, loaded and kept. Raises ModelUnavailable."""
        if all(name != model.name for model in self.offer):
            names = ", ".join(model.name for model in self.offer)
            raise ModelUnavailable(f"The model {name[:80]!r} is not offered here; choose one of: {names}.")
        return self._engine(name)

    def _engine(self, name: str) -> Engine:
        """Return the engine; keep the default one and the last other one in memory, since each may need a gigabyte."""
        if name == self._resident.name:
            return self._resident
        if self._other is None or self._other.name != name:
            self._other = None
            self._runtime.free_memory()  # before the next model is loaded
            self._other = self._load(name)
        return self._other

    def _choose(self, wanted: str) -> str:
        """Return the default model's name. Raises ModelUnavailable where there is no model `wanted`."""
        if wanted != AUTO:
            known = [name for name in self._library.names() if self._is_allowed(name)]
            if wanted not in known:
                raise ModelUnavailable(
                    f"There is no model {wanted!r}, or MODELS_ALLOWED does not name it; choose one of: "
                    f"{', '.join(known)}."
                )
            return wanted
        if self._is_allowed(BEST) and (
            demucs_weights.is_cached(BEST) or (demucs_weights.hub_answers() and _fetched_in_time(BEST))
        ):
            return BEST
        if not self._is_allowed(LITE.name):
            raise ModelUnavailable(
                f"MODEL_NAME=auto is {BEST} or {LITE.name}, but MODELS_ALLOWED does not name {LITE.name}, and either "
                f"not {BEST} or its weights can not be had; set MODEL_NAME to a model that it names."
            )
        log.event(_log, "model fallback", wanted=BEST, model=LITE.name, why="its weights are not available quickly")
        return LITE.name

    def _check_allowed(self) -> None:
        known = self._library.names()
        if unknown := sorted(self._allowed - set(known)):
            raise ModelUnavailable(
                f"MODELS_ALLOWED names {', '.join(map(repr, unknown))}, of which nothing is known here; "
                f"it may name: {', '.join(known)}."
            )

    def _is_allowed(self, name: str) -> bool:
        return not self._allowed or name in self._allowed

    def _offer(self) -> list[Model]:
        """List the default model, then all others that can be loaded and are allowed."""
        models = [self._library.describe_engine(self._resident)]
        online = not self._library.folder and demucs_weights.hub_answers()
        for name in self._library.names():
            if name != self.default and self._is_allowed(name) and self._can_be_had(name, online):
                try:
                    models.append(self._library.describe(name, self._runtime))
                except ModelUnavailable as problem:
                    log.event(_log, "model left out", logging.WARNING, model=name, why=problem.detail)
        return models

    def _can_be_had(self, name: str, online: bool) -> bool:
        """Say whether the weights are here, or may be downloaded.

        Weights that nobody granted a licence for are not downloaded because a caller names the model: an operator
        has named it, in a setting or when the weights were put into the cache. lite is offered where it was fetched.
        """
        if not self._library.can_run(name):
            if self._library.folder or name in self._allowed:
                why = "the package unblend is not installed: pip install 'msas[roformer]'"
                log.event(_log, "model left out", logging.WARNING, model=name, why=why)
            return False
        if self._library.is_cached(name):
            return True
        return name != LITE.name and online and (CATALOGUE[name].is_licensed or name in self._allowed)

    def _load(self, name: str) -> Engine:
        log.event(_log, "loading model", model=name)
        since = time.monotonic()
        engine = self._library.load(name, self._runtime)
        self._metrics.loaded(name, time.monotonic() - since)
        return engine


def _fetched_in_time(name: str) -> bool:
    """Fetch the weights of `name` in a process, which is ended after AUTO_FETCH_SECONDS; return whether it did."""
    try:
        fetched = subprocess.run(
            [sys.executable, "-m", "worker.fetch_models", ONLY_WEIGHTS, name],
            cwd=Path(__file__).parent.parent,
            capture_output=True,
            timeout=AUTO_FETCH_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return False
    return fetched.returncode == 0
