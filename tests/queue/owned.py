"""Jobs of owners, and what tests of owners' lines ask of the queue."""

from __future__ import annotations

from dataclasses import replace

from msas.job import Job
from msas.queue import Consumer, Queue
from tests.queue.fixtures import ERROR
from tests.queue.fixtures import job as unowned


def job(number: int, owner: str = "") -> Job:
    return replace(unowned(number), owner=owner, seconds=60.0)


def take_all(consumer: Consumer) -> list[Job]:
    """Take all jobs, one after the other, and let each fail."""
    found = []
    while lease := consumer.claim_next():
        found.append(lease.job)
        lease.fail(ERROR)
    return found


def numbers(jobs: list[Job]) -> list[int]:
    return [int(each.songhash, 16) for each in jobs]


def positions(queue: Queue, *jobs: int) -> list[int | None]:
    statuses = queue.jobs([job(number).songhash for number in jobs])
    return [found.queue_position if found else None for found in statuses.values()]
