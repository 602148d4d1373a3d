"""The queue: where jobs wait, who holds them, how they end. The only place that names a Redis key."""

from msas.queue.admission import Bounds, Known
from msas.queue.callbacks import Outbox
from msas.queue.connection import connect
from msas.queue.consumer import Held, Lease, Receiver
from msas.queue.leader import Leader, LeadershipLost
from msas.queue.queue import Listing, Queue
from msas.queue.upkeep_record import Progress, Span, UpkeepRecord

__all__ = [
    "Bounds",
    "Held",
    "Known",
    "Leader",
    "LeadershipLost",
    "Lease",
    "Listing",
    "Outbox",
    "Progress",
    "Queue",
    "Receiver",
    "Span",
    "UpkeepRecord",
    "connect",
]
