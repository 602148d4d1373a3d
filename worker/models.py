"""Chooses the models that this worker offers, and loads and keeps their engines."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from msas.errors import ModelUnavailable
from msas.logs import log
from msas.models import CATALOGUE, LITE, Model
from msas.queue import ModelLoad, ModelLoads
from msas.settings import Settings
from worker.engines import Engine
from worker.engines.runtime import Runtime
from worker.library import Library
from worker.metrics import WorkerMetrics
from worker.weights import hub
from worker.weights.download import Download
from worker.weights.reports import Awaited, LoadReports

AUTO, BEST = "auto", "htdemucs"

_log = logging.getLogger("msas.worker")


class Models:
    """Decides at the start which models this worker offers; loads each engine when it is first needed."""

    def __init__(
        self, settings: Settings, runtime: Runtime, metrics: WorkerMetrics, loads: ModelLoads | None = None
    ) -> None:
        """Raises ModelUnavailable where the default model can not be loaded. `loads` is told of downloads."""
        self._runtime, self._metrics = runtime, metrics
        self._library = Library(settings)
        self._loading = LoadReports(loads)
        self._awaited: Awaited | None = None  # the better default, while lite stands in for it
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

    def refresh(self) -> None:
        """Make the model the default for which lite stands in, once its weights are there."""
        if self._awaited is None or not self._awaited.is_there():
            return
        name, self._awaited = self._awaited.name, None
        try:
            better = self._load(name)
        except ModelUnavailable as problem:
            log.event(_log, "model left out", logging.WARNING, model=name, why=problem.detail)
            return
        self.default, self._resident, self._other = name, better, self._resident
        self.offer = self._offer()
        log.event(_log, "default model changed", model=name)

    def engine(self, name: str, loading: Callable[[], None] = lambda: None) -> Engine:
        """Return the engine of the model `name`, loaded and kept; meanwhile `loading` is called, which may raise.

        Raises ModelUnavailable.
        """
        if all(name != model.name for model in self.offer):
            names = ", ".join(model.name for model in self.offer)
            raise ModelUnavailable(f"The model {name[:80]!r} is not offered here; choose one of: {names}.")
        return self._engine(name, loading)

    def _engine(self, name: str, loading: Callable[[], None] = lambda: None) -> Engine:
        """Return the engine; keep the default one and the last other one in memory, since each may need a gigabyte."""
        if name == self._resident.name:
            return self._resident
        if self._other is None or self._other.name != name:
            self._other = None
            self._runtime.free_memory()  # before the next model is loaded
            self._other = self._load(name, loading)
        return self._other

    def _choose(self, wanted: str) -> str:
        """Return the default model's name. Raises ModelUnavailable where there is no model `wanted`."""
        if wanted != AUTO:
            names = self._library.names()
            what = f"There is no model {wanted!r}"
            if wanted in names:
                if self._is_allowed(wanted):
                    return wanted
                what = f"MODELS_ALLOWED does not name the model {wanted!r}"
            raise ModelUnavailable(f"{what}; choose one of: {', '.join(filter(self._is_allowed, names))}.")
        is_wanted = BEST in self._library.names() and self._is_allowed(BEST)
        why = "MODELS_ALLOWED or MODEL_REPO does not have it"
        if is_wanted:
            try:
                self._fetch(BEST)
                return BEST
            except ModelUnavailable as problem:
                why = problem.detail
        if not self._is_allowed(LITE.name):
            raise ModelUnavailable(
                f"MODEL_NAME=auto is {BEST} or {LITE.name}, but MODELS_ALLOWED does not name {LITE.name}, and either "
                f"not {BEST} or its weights can not be had; set MODEL_NAME to a model that it names."
            )
        if is_wanted and not hub.is_offline():
            self._awaited = Awaited(BEST, self._library.fetch)
        log.event(_log, "model fallback", wanted=BEST, model=LITE.name, why=why)
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
        online = not self._library.folder and hub.hub_answers()
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

    def _fetch(self, name: str, loading: Callable[[], None] = lambda: None) -> None:
        """Download the weights of the model, unless they are there. Raises ModelUnavailable, or as `loading` does."""
        if self._library.is_cached(name) or name == LITE.name:
            return
        if not hub.hub_answers():
            raise ModelUnavailable(
                f"The weights of the model {name!r} are not in the cache, and the model hub can not be reached; "
                "use the model 'lite', which needs no hub, or set MODEL_REPO to a folder that holds them."
            )
        log.event(_log, "downloading model", model=name)
        with self._loading.of(name) as report:

            def look(load: ModelLoad) -> None:
                loading()
                report(load)

            Download(name, self._library.fetch).watch(look)

    def _load(self, name: str, loading: Callable[[], None] = lambda: None) -> Engine:
        loading()
        self._fetch(name, loading)
        log.event(_log, "loading model", model=name)
        since = time.monotonic()
        engine = self._library.load(name, self._runtime)
        self._metrics.loaded(name, time.monotonic() - since)
        return engine
