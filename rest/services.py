"""The objects that all routes share (settings, queue, store and others), and how a route finds a job or the models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import current_app

from msas.errors import NoWorker, UnknownSong
from msas.job import SONGHASH
from msas.models import Model
from msas.queue import JobView, ModelLoads, Queue
from msas.settings import Settings
from msas.store import Store
from rest.eta import Eta
from rest.job_reader import Results
from rest.long_poll import LongPolls
from rest.metrics import RestMetrics
from rest.middleware.auth import sees
from rest.middleware.capacity import Capacity
from rest.mix.process import Mixer
from rest.uploads.probe_pool import ProbePool
from rest.uploads.redis_memory import RedisMemory
from rest.uploads.store_space import StoreSpace


@dataclass(frozen=True)
class Services:
    settings: Settings
    queue: Queue
    store: Store
    eta: Eta
    probe_pool: ProbePool
    long_polls: LongPolls
    capacity: Capacity
    metrics: RestMetrics
    results: Results
    redis_memory: RedisMemory
    store_space: StoreSpace
    mixer: Mixer

    def job(self, songhash: str) -> JobView:
        """Return the job. Raises UnknownSong where there is none that the caller may see."""
        job = self.results.job(songhash) if SONGHASH.fullmatch(songhash) else None
        if job is None or not sees(job):
            raise unknown_song()
        return job


def read_offer(offer: dict[str, Any] | None) -> tuple[list[Model], str]:
    """Return the models of an offer and the default's name. Raises NoWorker where there is none."""
    if offer is None:
        for load in ModelLoads(services().queue).read():
            raise NoWorker(
                f"The worker still downloads the weights of the model {load.model} ({load.bytes / 1e6:.0f} of "
                f"{load.total_bytes / 1e6:.0f} MB), so no model is on offer; try again in a minute."
            )
        raise NoWorker("No worker has come up yet, so no model is on offer; try again in a few seconds.")
    return [Model.from_json(model) for model in offer["models"]], offer["default"]


def unknown_song() -> UnknownSong:
    return UnknownSong(
        "There is no song under that hash; use the 56-character hash that POST /apiv1/separate answered."
    )


def services() -> Services:
    """Return the running app's services."""
    found: Services = current_app.extensions["msas"]
    return found
