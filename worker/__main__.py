"""`python -m worker`: load the model, then serve jobs until SIGTERM or SIGINT."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from contextlib import suppress

from msas import log
from msas.problem import ModelUnavailable, QueueUnavailable
from msas.queue import Receiver
from msas.queue.connection import connect
from msas.settings import Settings, SettingsError
from msas.store import Store
from worker.engines.runtime import Runtime
from worker.heartbeat import Heartbeat
from worker.loop import Worker
from worker.machine import keep_memory
from worker.models import Models


def main() -> int:
    """Run one worker; return the exit status: 0 stopped, 1 no model, 2 wrong settings."""
    keep_memory()
    try:
        settings = Settings.from_environment()
        runtime = Runtime(settings)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    stopping = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # while weights are fetched there is nothing to hand back
    log.start("worker", connect(settings), settings.log_list)
    logger = logging.getLogger("msas.worker")
    try:
        models = Models(settings, runtime)
    except ModelUnavailable as problem:
        log.event(logger, "no model", logging.ERROR, code=problem.code, why=problem.detail)
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    receiver = Receiver.from_settings(settings)
    heartbeat = Heartbeat(receiver, settings.beat_seconds, stopping)
    log.event(
        logger,
        "ready",
        worker=receiver.worker,
        model=models.default,
        device=runtime.name,
        precision=runtime.precision,
    )
    store = Store.from_settings(settings, retries=3)
    Worker(receiver, store, models, heartbeat, stopping, settings.max_duration_minutes).run()
    with suppress(QueueUnavailable):  # then the lease runs out by itself
        receiver.leave()
    log.event(logger, "stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
