"""What any process of ours does beside its work: tick the queue, and reconcile it with the store."""

from __future__ import annotations

import logging
import math
import secrets
import threading
import time
from collections.abc import Callable

from msas import log
from msas.problem import Unavailable
from msas.queue import Queue
from msas.reconcile import Reconciler
from msas.settings import Settings
from msas.store import Store

_log = logging.getLogger("msas.upkeep")


class Upkeep:
    """Two threads that tick often and reconcile now and then, for as long as the process lives.

    Everybody ticks, and at most one wins; one process at a time reconciles. Without a tick nothing comes back
    from a lost worker, so REST ticks, too: it may be all that is left once the workers are scaled to zero.
    """

    def __init__(self, queue: Queue, store: Store, settings: Settings) -> None:
        self._queue, self._store, self._settings = queue, store, settings
        self._reconciler = Reconciler(queue, store, settings.keep_days)
        self._name, self._rules_set = secrets.token_hex(8), False

    def start(self) -> None:
        for seconds, action in (
            (self._settings.lease_seconds / 6, self._queue.tick),
            (self._settings.reconcile_seconds, self._reconcile),
        ):
            threading.Thread(target=self._repeat, args=(seconds, action), daemon=True).start()

    def _repeat(self, seconds: float, action: Callable[[], object]) -> None:
        while True:
            time.sleep(seconds)
            try:
                action()
            except Unavailable as problem:
                log.event(_log, "upkeep missed", logging.WARNING, why=problem.detail)
            except Exception:  # one odd object must not end the upkeep of all others
                _log.exception("upkeep failed")

    def _reconcile(self) -> None:
        if not self._queue.lead(self._name, 3 * self._settings.reconcile_seconds):
            return
        try:
            if not self._rules_set:
                self._store.expire_after(math.ceil(2 * self._settings.keep_days) + 1)
                self._rules_set = True
            self._reconciler.sweep()
        except Exception:
            self._queue.resign()  # perhaps it is us alone whom the store refuses
            raise
