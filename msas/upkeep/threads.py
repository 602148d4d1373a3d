"""Maintenance threads: each process reclaims lost jobs; one REST process at a time sweeps and compares."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable

from msas.errors import Unavailable
from msas.logs import log
from msas.queue import Leader, LeadershipLost, Queue
from msas.settings import Settings
from msas.store import Store
from msas.upkeep.comparison import Comparison
from msas.upkeep.sweep import Sweep

_log = logging.getLogger("msas.upkeep")


def start_reclaiming(queue: Queue, settings: Settings) -> None:
    """Call `Queue.reclaim` for as long as the process lives.

    REST processes do this too: they may be the only ones left once the workers are scaled to zero.
    """
    _start(settings.lease_seconds / 6, queue.reclaim)


class Upkeep:
    """In the one REST process that leads: sweeps every RECONCILE_SECONDS, and compares Redis with the store every
    COMPARE_SECONDS and after a restart of Redis."""

    def __init__(self, queue: Queue, store: Store, settings: Settings) -> None:
        self._store, self._settings = store, settings
        self._leader = Leader(queue, 3 * settings.reconcile_seconds)
        facts = {
            "keep_days": settings.keep_days,
            "first_check_seconds": settings.reconcile_seconds,
            "max_store_bytes": settings.max_store_gb * 1e9,
        }
        self._sweep = Sweep(queue, store, self._leader, **facts)
        self._comparison = Comparison(queue, store, self._leader)
        self._rules_set = False
        self._swept_at = 0.0  # monotonic seconds

    def start(self) -> None:
        """Reconcile for as long as the process lives."""
        _start(self._settings.reconcile_seconds, self.reconcile)

    def reconcile(self) -> None:
        """Reconcile once, if this process leads."""
        if not self._leader.acquire_leadership():
            return
        try:
            if not self._rules_set:
                self._store.set_lifecycle_rules(math.ceil(2 * self._settings.keep_days) + 1)
                self._rules_set = True
            self._run_sweep()
            if self._comparison.is_due(self._settings.compare_seconds):
                for _ in self._comparison.run():
                    if time.monotonic() - self._swept_at >= self._settings.reconcile_seconds:
                        self._run_sweep()
        except LeadershipLost:
            log.event(_log, "leadership lost", logging.WARNING)
        except Exception:
            self._leader.release_leadership()  # the error may affect this process only
            raise

    def _run_sweep(self) -> None:
        self._swept_at = time.monotonic()
        self._sweep.run()


def _start(seconds: float, action: Callable[[], object]) -> None:
    threading.Thread(target=_repeat, args=(seconds, action), daemon=True).start()


def _repeat(seconds: float, action: Callable[[], object]) -> None:
    while True:
        time.sleep(seconds)
        try:
            action()
        except Unavailable as problem:
            log.event(_log, "upkeep skipped", logging.WARNING, why=problem.detail)
        except Exception:  # an error of one object must not end the thread
            _log.exception("upkeep failed")
