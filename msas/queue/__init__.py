"""The job queue in Redis: enqueue, claim, settle, cancel, callbacks. The only package that names a Redis key."""

from msas.queue.bounds import Bounds, JobLookup
from msas.queue.callbacks import CallbackQueue
from msas.queue.connection import connect
from msas.queue.consumer import Consumer, Lease, LeaseStatus
from msas.queue.job_view import JobView
from msas.queue.leader import Leader, LeadershipLost
from msas.queue.model_loads import ModelLoad, ModelLoads
from msas.queue.model_speeds import ModelSpeeds
from msas.queue.queue import JobList, Queue
from msas.queue.upkeep_record import Progress, Span, UpkeepRecord

__all__ = [
    "Bounds",
    "CallbackQueue",
    "Consumer",
    "JobList",
    "JobLookup",
    "JobView",
    "Leader",
    "LeadershipLost",
    "Lease",
    "LeaseStatus",
    "ModelLoad",
    "ModelLoads",
    "ModelSpeeds",
    "Progress",
    "Queue",
    "Span",
    "UpkeepRecord",
    "connect",
]
