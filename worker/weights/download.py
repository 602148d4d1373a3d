"""A download in a thread of its own, which others can watch: how far it is, whether it stalls, why it failed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from msas.errors import ModelUnavailable
from msas.logs import log
from msas.queue import ModelLoad
from worker.weights.hub import OnBytes

STALL_SECONDS = 30.0
_STALL_BYTES = 300_000  # fewer in STALL_SECONDS are a stall: 80 MB at that pace would take two hours
_POLL_SECONDS = 0.2

_log = logging.getLogger("msas.worker")


class Stopped(Exception):
    """Ends a download whose watcher has left."""


class Download:
    """Fetches the weights of one model, until they are there or an attempt fails that brought nothing.

    An attempt that brought bytes is followed by the next at once, which goes on where it ended.
    """

    def __init__(self, model: str, fetch: Callable[[str, OnBytes], object]) -> None:
        self.model, self._fetch = model, fetch
        self.error: ModelUnavailable | None = None
        self.is_done = False
        self._bytes = self._total = 0
        self._marked, self._marked_at = 0, time.monotonic()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"download {model}", daemon=True)
        self._thread.start()

    @property
    def load(self) -> ModelLoad:
        return ModelLoad(self.model, self._bytes, self._total)

    @property
    def is_stalled(self) -> bool:
        """Whether next to nothing came for a while."""
        return not self.is_done and time.monotonic() - self._marked_at > STALL_SECONDS

    @property
    def has_ended(self) -> bool:
        return self.is_done or self.error is not None

    def watch(self, look: Callable[[ModelLoad], None]) -> None:
        """Wait until the weights are there; call `look` several times a second, which may raise to end the download.

        Raises ModelUnavailable where the download failed or stalls; a stalled one goes on.
        """
        try:
            while not self.has_ended:
                look(self.load)
                if self.is_stalled:
                    raise ModelUnavailable(
                        f"The download of the model {self.model!r} stalls at {self._bytes / 1e6:.0f} of "
                        f"{self._total / 1e6:.0f} MB; it goes on, so try again later, or choose another model."
                    )
                self._thread.join(_POLL_SECONDS)
        except ModelUnavailable:
            raise
        except BaseException:
            self.stop()
            raise
        if self.error:
            raise self.error

    def stop(self) -> None:
        """End the download at its next piece."""
        self._stopped.set()

    def _run(self) -> None:
        while True:
            before = self._bytes
            try:
                self._fetch(self.model, self._note)
                self.is_done = True
                return
            except Stopped:
                return
            except ModelUnavailable as problem:
                log.event(_log, "download broke off", logging.WARNING, model=self.model, why=problem.detail)
                if self._bytes <= before or self._bytes >= self._total:
                    self.error = problem
                    return
            except Exception as error:  # or the worker would wait for a thread that is gone
                log.event(_log, "download failed", logging.ERROR, model=self.model, why=repr(error)[:300])
                self.error = ModelUnavailable(f"The weights of the model {self.model!r} could not be fetched.")
                return

    def _note(self, done: int, total: int) -> None:
        if self._stopped.is_set():
            raise Stopped
        self._bytes, self._total = done, total
        if abs(done - self._marked) >= _STALL_BYTES or done == total:
            self._marked, self._marked_at = done, time.monotonic()
