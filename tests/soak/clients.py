"""Clients of the soak: they post songs over HTTP, delete some, and compare served stems with their reports."""

from __future__ import annotations

import base64
import hashlib
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

import requests

from tests.support.rig import Rig, song

POSTERS = 2
MOST_WAITING = 30
_MODELS = ("quick", "quick", "sleep-0.2", "sleep-0.2", "sleep-1", "kill-1")
_DELETED = 0.1  # of all songs


class Clients:
    """Sets of songhashes, and what went wrong.

    accepted  the POST was answered with 200
    removed   the DELETE was answered with 200
    either    the DELETE was sent; its answer may be lost
    wrong     a served stem had other bytes than the report names
    broken    the exceptions that ended a client
    """

    def __init__(self, rig: Rig, seed: int) -> None:
        self.accepted, self.removed, self.either = set[str](), set[str](), set[str]()
        self.wrong, self.broken = list[str](), list[BaseException]()
        self.served = 0
        self._url, self._seed = f"http://127.0.0.1:{rig.settings.rest_port}/apiv1", seed
        self._over = threading.Event()

    @contextmanager
    def posting(self) -> Iterator[None]:
        """Let all clients work until the block ends."""
        work = [partial(self._post_for_ever, number) for number in range(POSTERS)] + [self._read_for_ever]
        threads = [threading.Thread(target=self._until_broken, args=(each,)) for each in work]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def _until_broken(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self.broken.append(error)

    def _post_for_ever(self, number: int) -> None:
        dice = random.Random(f"{self._seed} {number}")
        count = 0
        while not self._over.is_set():
            with suppress(requests.RequestException):
                if len(requests.get(f"{self._url}/queue", timeout=20).json().get("queue", [])) > MOST_WAITING:
                    self._over.wait(0.2)
                    continue
            count += 1
            content = song(1_000_000 * (number + 1) + count)
            body = {"mp3": base64.b64encode(content).decode(), "model": dice.choice(_MODELS), "format": "wav"}
            songhash = self._post(body)
            if songhash and dice.random() < _DELETED:
                self._over.wait(dice.uniform(0, 2))
                self._delete(songhash)

    def _post(self, body: dict[str, str]) -> str | None:
        """Send a song again and again until it is accepted."""
        while not self._over.is_set():
            with suppress(requests.RequestException):
                answer = requests.post(f"{self._url}/separate", json=body, timeout=60)
                if answer.status_code == 200:
                    songhash: str = answer.json()["hash"]
                    self.accepted.add(songhash)
                    return songhash
                # The one worker that has the model may just be away.
                assert answer.status_code == 503 or "model" in answer.text, answer.text
            self._over.wait(0.1)
        return None

    def _delete(self, songhash: str) -> None:
        self.either.add(songhash)
        while not self._over.wait(0.1):
            with suppress(requests.RequestException):
                answer = requests.delete(f"{self._url}/remove/{songhash}", timeout=60)
                if answer.status_code == 200:
                    self.removed.add(songhash)
                if answer.status_code in (200, 404):  # 404: it was removed, but the answer to that was lost
                    return
                assert answer.status_code == 503, answer.text

    def _read_for_ever(self) -> None:
        """Fetch stems of random jobs, and compare their bytes with the report."""
        dice = random.Random(self._seed)
        while not self._over.wait(0.05):
            if not self.accepted:
                continue
            songhash = dice.choice(sorted(self.accepted)[-50:])
            with suppress(requests.RequestException):
                stem = requests.get(f"{self._url}/track/{songhash}/drums", timeout=20)
                status = requests.get(f"{self._url}/status/{songhash}", timeout=20)
                if stem.status_code == status.status_code == 200 and status.json()["report"]:
                    self.served += 1
                    if hashlib.sha256(stem.content).hexdigest() != status.json()["report"]["stems"]["drums"]["sha256"]:
                        self.wrong.append(songhash)
