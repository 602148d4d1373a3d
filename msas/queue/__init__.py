"""The queue: where jobs wait, who holds them, how they end. The only place that names a Redis key."""

from msas.queue.connection import connect
from msas.queue.lease import Lease, Receiver
from msas.queue.queue import JobStatus, Queue, Track

__all__ = ["JobStatus", "Lease", "Queue", "Receiver", "Track", "connect"]
