"""Offers models in place of a worker."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from msas.queue import Queue


def advertise_models(queue: Queue, content: Mapping[str, Any] | None) -> None:
    """Store the models of all workers, as workers of the previous release do; None: no worker has started yet."""
    queue.redis.set(f"{queue.prefix}offer", json.dumps(content))
    if content is None:
        queue.redis.delete(f"{queue.prefix}offers")
