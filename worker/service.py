"""One worker, put together: its receiver, heartbeat, scratch folder and upkeep, around the models it is given."""

from __future__ import annotations

import logging
from typing import Any

from msas import log
from msas.queue import Queue, Receiver
from msas.settings import Settings
from msas.store import Store
from msas.upkeep import Upkeep
from worker.drain import Drain
from worker.heartbeat import Heartbeat
from worker.loop import Engines, Worker
from worker.scratch import scratch_folder

_log = logging.getLogger("msas.worker")


def serve(settings: Settings, models: Engines, **about: Any) -> None:
    """Serve jobs with `models` until SIGTERM or SIGINT; `about` is said in the log beside the worker's name."""
    drain = Drain(settings.drain_seconds)
    drain.install()
    receiver, store = Receiver.from_settings(settings), Store.from_settings(settings, retries=3)
    heartbeat = Heartbeat(receiver, settings.beat_seconds, settings.stall_seconds, drain)
    log.event(_log, "ready", worker=receiver.worker, model=models.default, **about)
    Upkeep(Queue.from_settings(settings), store, settings).start()
    with scratch_folder() as scratch:
        Worker(receiver, store, models, heartbeat, drain, scratch, settings.max_duration_minutes).run()
    log.event(_log, "stopped")
