"""A process that reconciles and does nothing else: REST's upkeep, without REST."""

from __future__ import annotations

import signal

from msas.logs import log
from msas.queue import Queue
from msas.settings import Settings
from msas.store import Store
from msas.upkeep.threads import Upkeep
from tests.support import process_faults


def main() -> None:
    """Reconcile until SIGTERM."""
    log.start("keeper")
    process_faults.install()
    settings = Settings.from_environment()
    Upkeep(Queue.from_settings(settings), Store.from_settings(settings), settings).start()
    signal.pause()
