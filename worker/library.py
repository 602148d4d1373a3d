"""The models that a worker can know: lite, those of MODEL_REPO or else the named ones, and how each is had."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from msas.models import CATALOGUE, DEMUCS, LITE, UNBLEND, Model
from msas.settings import Settings
from worker.engines import Engine, demucs, demucs_weights, lite_weights, unblend, unblend_weights
from worker.engines.lite import LiteEngine
from worker.engines.runtime import Runtime
from worker.weights import hub

_OWN_FOLDER = "a folder of this deployment (MODEL_REPO)"
_NAMED_UNBLEND = frozenset(model.name for model in UNBLEND)


class Library:
    """Finds and loads models. With MODEL_REPO the named models of the hub are not known."""

    def __init__(self, settings: Settings) -> None:
        self._cache = settings.cache_dir.expanduser()
        self.folder: Path | None = settings.model_repo and settings.model_repo.expanduser()

    def names(self) -> list[str]:
        """Return the names of all models, whether or not their weights can be had."""
        return [LITE.name, *(self._in_folder() if self.folder else [model.name for model in (*DEMUCS, *UNBLEND)])]

    def is_cached(self, name: str) -> bool:
        """Say whether the weights of the model are on this machine."""
        if name == LITE.name:
            return lite_weights.is_cached(self._cache)
        if self.folder:
            return True
        return unblend_weights.is_cached(name) if name in _NAMED_UNBLEND else demucs_weights.is_cached(name)

    def can_run(self, name: str) -> bool:
        """Say whether the packages that the model needs are installed."""
        return unblend_weights.is_installed() if self._is_unblend(name) else True

    def describe(self, name: str, runtime: Runtime) -> Model:
        """Return the model's name, stems and facts. Raises ModelUnavailable where it can not be loaded.

        A Demucs model of a folder is loaded for that, as its file does not tell without.
        """
        if name == LITE.name or not self.folder:
            return CATALOGUE[name]
        if self._is_unblend(name):
            found = unblend_weights.describe(name, self.folder)
            return found if found.origin else replace(found, origin=_OWN_FOLDER)
        return self.describe_engine(demucs.load(name, self.folder, runtime))

    def describe_engine(self, engine: Engine) -> Model:
        """Return the facts on a model that is loaded."""
        known = CATALOGUE.get(engine.name)
        if known and known.stems == engine.stems:
            return known if engine.name == LITE.name or not self.folder else replace(known, origin=_OWN_FOLDER)
        return Model(engine.name, engine.stems, "A model of this deployment's own.", origin=_OWN_FOLDER)

    def load(self, name: str, runtime: Runtime) -> Engine:
        """Load the model and make it ready to run. Raises ModelUnavailable."""
        if name == LITE.name:
            return LiteEngine(self._cache, runtime)
        if self._is_unblend(name):
            return unblend.load(name, self.folder, runtime)
        return demucs.load(name, self.folder, runtime)

    def fetch(self, name: str, on_bytes: hub.OnBytes = lambda _done, _total: None) -> None:
        """Download the weights of the model into the cache, unless they are there. Raises ModelUnavailable."""
        if self.is_cached(name):
            return
        if name == LITE.name:
            lite_weights.fetch(self._cache)
        elif name in _NAMED_UNBLEND:
            hub.fetch([unblend_weights.hub_file(name)], on_bytes)
        else:
            demucs_weights.fetch(name, on_bytes)

    def _in_folder(self) -> list[str]:
        assert self.folder
        of_unblend = unblend_weights.in_folder(self.folder)
        return [*(name for name in demucs_weights.in_folder(self.folder) if name not in of_unblend), *of_unblend]

    def _is_unblend(self, name: str) -> bool:
        return name in (unblend_weights.in_folder(self.folder) if self.folder else _NAMED_UNBLEND)
