"""Sends the callbacks that are due, in threads, and repeats failed ones for about eight hours."""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from standardwebhooks import Webhook

from msas.errors import Unavailable
from msas.logs import log
from msas.queue import CallbackQueue, Queue
from msas.queue.callback_record import DeliveryRecord, DeliveryState
from msas.queue.callbacks import PendingCallback
from msas.settings import Settings
from rest.callbacks.address_policy import AddressPolicy, Resolve, resolve
from rest.callbacks.safe_post import CallbackHttp, Failed, Refused

# Seconds from one try to the next: nine tries in about eight hours.
WAITS = (5, 30, 120, 600, 1800, 3600, 7200, 14400)
_AT_ONCE, _AT_ONCE_PER_HOST = 8, 3  # deliveries of one process; a slow receiver must not hold all of them
_HOLD_SECONDS = 60.0  # much more than a delivery can take
_POLL_SECONDS = 1.0
_AWAY_SECONDS = 4.0
_GONE = 410
_log = logging.getLogger("msas.callbacks")


class CallbackSender:
    """Sends the callbacks that are due, in threads. What a process that dies did not send, another one sends.

    Any number of processes may have one.
    """

    def __init__(
        self, callback_queue: CallbackQueue, http: CallbackHttp, secret: str = "", waits: Sequence[float] = WAITS
    ) -> None:
        self._callback_queue, self._http, self._waits = callback_queue, http, waits
        self._signer = Webhook(secret) if secret else None
        self._free = threading.Semaphore(_AT_ONCE)
        self._hosts, self._ended = _PerHostLimit(), threading.Event()

    @classmethod
    def from_settings(cls, queue: Queue, settings: Settings, resolve: Resolve = resolve) -> CallbackSender:
        http = CallbackHttp(AddressPolicy(*settings.callback_allowed()), resolve)
        return cls(CallbackQueue(queue), http, settings.callback_secret)

    def start(self) -> None:
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            self._ended.clear()
            try:
                if self.turn():
                    continue
            except Unavailable as problem:
                log.event(_log, "callbacks delayed", logging.WARNING, why=problem.detail)
                time.sleep(_AWAY_SECONDS)
            except Exception:
                _log.exception("callbacks failed")
            self._ended.wait(_POLL_SECONDS)  # a delivery that ended made room for the next to its host

    def turn(self) -> bool:
        """Begin one delivery, once a thread is free for it; return whether one was due to a host that has room."""
        taken, begun = list[PendingCallback](), False
        self._free.acquire()
        try:
            taken = self._callback_queue.take_due(1, _HOLD_SECONDS, self._hosts.full())
            for pending in taken:
                self._hosts.enter(pending.host)
                threading.Thread(target=self._handle, args=(pending,), daemon=True).start()
                begun = True
        finally:
            if not begun:
                self._free.release()
                for pending in taken:
                    self._hosts.leave(pending.host)
        return begun

    def _handle(self, pending: PendingCallback) -> None:
        try:
            self.deliver(pending)
        except Unavailable as problem:
            log.event(_log, "callback not recorded", logging.WARNING, songhash=pending.songhash, why=problem.detail)
        except Exception:
            _log.exception("callback failed")
        finally:
            self._hosts.leave(pending.host)
            self._free.release()
            self._ended.set()

    def deliver(self, pending: PendingCallback) -> DeliveryRecord:
        """Send it once and note what came of it."""
        delivery = self._attempt(pending)
        if delivery.state is DeliveryState.WAITING:
            delivery = self._later(delivery)
        elif delivery.state is DeliveryState.DELIVERED:
            delivery = replace(delivery, delivered_at=self._callback_queue.now())
        self._callback_queue.record_delivery(pending, delivery)
        log.event(
            _log,
            f"callback {delivery.state}",
            songhash=pending.songhash,
            webhook_id=pending.webhook_id,
            host=pending.host,
            attempts=delivery.attempts,
            http_status=delivery.http_status,
            why=delivery.error,
        )
        return delivery

    def _attempt(self, pending: PendingCallback) -> DeliveryRecord:
        tried = DeliveryRecord(attempts=pending.delivery.attempts + 1)
        try:
            body = build_body(pending)
            status = self._http.post(pending.callback.get("url"), body, self._headers(pending, body))
        except Refused as refusal:
            return replace(tried, state=DeliveryState.REFUSED, error=str(refusal))
        except Failed as failure:
            return replace(tried, error=str(failure))
        except Exception:  # whatever a stranger thought of must count as a try, or it is tried for ever
            _log.exception("callback could not be sent")
            return replace(tried, error="Something went wrong on our side.")
        tried = replace(tried, http_status=status)
        if 200 <= status < 300:
            return replace(tried, state=DeliveryState.DELIVERED)
        if status == _GONE:
            return replace(tried, state=DeliveryState.GIVEN_UP, error="The receiver wants no more of it (410).")
        more = "; redirects are not followed: give the address that it leads to" if 300 <= status < 400 else ""
        return replace(tried, error=f"The receiver answered {status}{more}.")

    def _later(self, delivery: DeliveryRecord) -> DeliveryRecord:
        """Return it with the moment of its next try, or given up after the last."""
        if delivery.attempts > len(self._waits):
            return replace(delivery, state=DeliveryState.GIVEN_UP)
        seconds = self._waits[delivery.attempts - 1] * random.uniform(1, 1.1)  # so that what failed together parts
        return replace(delivery, next_at=self._callback_queue.now() + int(seconds * 1000))

    def _headers(self, pending: PendingCallback, body: bytes) -> dict[str, str]:
        moment = datetime.now(UTC).replace(microsecond=0)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "MSaaS",
            "Webhook-Id": pending.webhook_id,
            "Webhook-Timestamp": str(int(moment.timestamp())),
        }
        if self._signer:
            headers["Webhook-Signature"] = self._signer.sign(pending.webhook_id, moment, body.decode())
        return headers


class _PerHostLimit:
    """Counts the deliveries in progress to each host, so that a slow one does not hold all threads."""

    def __init__(self) -> None:
        self._inside, self._lock = Counter[str](), threading.Lock()

    def full(self) -> list[str]:
        """Return the hosts that get no more until one delivery to them has ended."""
        with self._lock:
            return [host for host, count in self._inside.items() if count >= _AT_ONCE_PER_HOST]

    def enter(self, host: str) -> None:
        with self._lock:
            self._inside[host] += 1

    def leave(self, host: str) -> None:
        with self._lock:
            self._inside[host] -= 1
            self._inside += Counter()  # forgets who is at 0


def build_body(pending: PendingCallback) -> bytes:
    """Return the caller's own data as JSON; where none was given, which job it is and how it ended."""
    data = pending.callback.get("data")
    return json.dumps({"hash": pending.songhash, "status": pending.status} if data is None else data).encode()
