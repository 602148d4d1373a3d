"""A callback sender of a test's own, and receivers that answer as told."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_network

from msas.addresses import Allowed
from msas.callbacks import Courier
from msas.egress import Egress
from msas.queue import Outbox, Queue
from tests.support.http_receivers import Receiver as Hook
from tests.support.http_receivers import Say, answer, in_turn, receiving
from tests.support.processes import eventually

SECRET = "whsec_" + base64.b64encode(b"a secret of 27 bytes, no less").decode()


AT_ONCE = (0.0, 0.0)


def courier(queue: Queue, waits: Sequence[float] = AT_ONCE, secret: str = SECRET, seconds: float = 10.0) -> Courier:
    """Return a courier that may call this machine, which has every name."""
    egress = Egress(Allowed(networks=(ip_network("127.0.0.1"),)), lambda _host, _port: ["127.0.0.1"], seconds)
    return Courier(Outbox(queue), egress, secret, waits)


def going(courier: Courier, condition: Callable[[], object]) -> None:
    """Let the courier go until the condition holds and nothing is due."""
    eventually(lambda: not courier.turn() and condition(), 10)


@contextmanager
def hook(*says: Say) -> Iterator[Hook]:
    with receiving(in_turn(*says) if says else answer(204)) as receiver:
        yield receiver
