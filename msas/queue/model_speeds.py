"""How long models take for a minute of song, by the kind of device, as workers measured it."""

from __future__ import annotations

from typing import cast

from msas.queue.connection import translate_errors
from msas.queue.queue import Queue


class ModelSpeeds:
    """Seconds of computing for a minute of song. Methods raise QueueUnavailable where Redis does not answer."""

    def __init__(self, queue: Queue) -> None:
        self._redis, self._key = queue.redis, f"{queue.prefix}speeds"

    def record(self, model: str, device: str, seconds: float) -> None:
        """Store the seconds that `model` takes on `device`."""
        with translate_errors():
            self._redis.hset(self._key, f"{model}\n{device}", str(round(seconds, 2)))

    def read(self, device: str) -> dict[str, float]:
        """Return the seconds of each model that ran on such a device."""
        with translate_errors():
            found = cast(dict[bytes, bytes], self._redis.hgetall(self._key))
        measured = {tuple(key.decode().split("\n", 1)): float(value) for key, value in found.items()}
        return {model: seconds for (model, where), seconds in measured.items() if where == device}
