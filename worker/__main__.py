"""`python -m worker`: loads the model, then serves jobs until SIGTERM or SIGINT."""

from __future__ import annotations

import logging
import signal
import sys

from msas.errors import ModelUnavailable
from msas.logs import log
from msas.queue import ModelLoads, Queue, connect
from msas.settings import Settings, SettingsError
from worker.engines.runtime import Runtime
from worker.models import Models
from worker.serve import serve, watched
from worker.system import tune_malloc


def main() -> int:
    """Run one worker; return the exit status: 0 stopped, 1 no model, 2 wrong settings, 3 sick."""
    tune_malloc()
    try:
        settings = Settings.from_environment()
        counts, liveness = watched(settings)
        runtime = Runtime(settings)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until a job is claimed, Ctrl-C ends the process at once
    log.start("worker", connect(settings), settings.log_list)
    logger = logging.getLogger("msas.worker")
    try:
        models = Models(settings, runtime, counts, ModelLoads(Queue.from_settings(settings)))
    except ModelUnavailable as problem:
        log.event(logger, "no model", logging.ERROR, code=problem.code, why=problem.detail)
        return 1
    return serve(settings, models, counts, liveness, device=runtime.name, precision=runtime.precision)


if __name__ == "__main__":
    sys.exit(main())
