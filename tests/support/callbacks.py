"""A callback sender of a test's own, and receivers that answer as told."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_network
from typing import Any

from msas.job import Job
from msas.options import Options
from msas.queue import CallbackQueue, Consumer, Queue
from rest.callbacks.address_policy import AddressPolicy
from rest.callbacks.safe_post import CallbackHttp
from rest.callbacks.sender import CallbackSender
from tests.queue.fixtures import claim_job
from tests.support.http_receivers import Receiver as Hook
from tests.support.http_receivers import Say, answer, in_turn, receiving
from tests.support.processes import eventually

SECRET = "whsec_" + base64.b64encode(b"a secret of 27 bytes, no less").decode()


AT_ONCE = (0.0, 0.0)


def callback_sender(
    queue: Queue, waits: Sequence[float] = AT_ONCE, secret: str = SECRET, seconds: float = 10.0
) -> CallbackSender:
    """Return a sender that may call this machine, to which every host name resolves."""
    http = CallbackHttp(AddressPolicy(networks=(ip_network("127.0.0.1"),)), lambda _host, _port: ["127.0.0.1"], seconds)
    return CallbackSender(CallbackQueue(queue), http, secret, waits)


def going(callback_sender: CallbackSender, condition: Callable[[], object]) -> None:
    """Run the sender until the condition holds and no callback is due."""
    eventually(lambda: not callback_sender.turn() and condition(), 40)


@contextmanager
def hook(*says: Say) -> Iterator[Hook]:
    with receiving(in_turn(*says) if says else answer(204)) as receiver:
        yield receiver


SONGHASH = f"{0:056x}"


def job_with_callback(hook: Hook, data: Any = None, host: str = "a.test") -> Job:
    callback = {"url": f"http://{host}:{hook.port}/hook", "data": data}
    return Job(SONGHASH, Options("lite"), "song 0.mp3", callback)


def enqueue_and_succeed(queue: Queue, consumer: Consumer, job: Job) -> None:
    queue.enqueue(job)
    claim_job(consumer).succeed()


def delivery_of(queue: Queue) -> dict[str, Any]:
    """Return how the delivery of the job's callback goes, as its status tells."""
    status = queue.job(SONGHASH)
    assert status
    assert status.callback
    return status.callback


def run_until(callback_sender: CallbackSender, queue: Queue, state: str = "delivered") -> dict[str, Any]:
    """Run the sender until the delivery has this state; return how it went."""
    going(callback_sender, lambda: delivery_of(queue)["state"] == state)
    return delivery_of(queue)
