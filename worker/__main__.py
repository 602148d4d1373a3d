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
from worker.heartbeat import Heartbeat
from worker.loop import Worker
from worker.models import Models


def main() -> int:
    """Run one worker; return the exit status: 0 stopped, 1 no model, 2 wrong settings."""
    try:
        settings = Settings.from_environment()
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    stopping = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # while weights are fetched there is nothing to hand back
    log.start("worker", connect(settings), settings.log_list)
    logger = logging.getLogger("msas.worker")
    try:
        models = Models(settings)
    except ModelUnavailable as problem:
        log.event(logger, "no model", logging.ERROR, code=problem.code, why=problem.detail)
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    receiver = Receiver.from_settings(settings)
    heartbeat = Heartbeat(receiver, settings.beat_seconds, stopping)
    log.event(logger, "ready", worker=receiver.worker, model=models.default)
    Worker(receiver, Store.from_settings(settings, retries=3), models, heartbeat, stopping).run()
    with suppress(QueueUnavailable):  # then the lease runs out by itself
        receiver.leave()
    log.event(logger, "stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
