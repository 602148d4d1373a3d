"""Every case of bad input gets its documented answer, leaves nothing behind, and does no harm to later requests."""

from __future__ import annotations

import http.client
import json
import re
import socket
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
import requests

from local import Service
from msas.store import Store
from tests.api.corpus import CASES, page
from tests.api.corpus.case import Case, Closed, Fails, Refused, Separated
from tests.api.corpus.sound import plain_wav
from tests.api.corpus.ways import post
from tests.support.audio import decode
from tests.support.processes import eventually
from tests.support.rest_process import open_temporary_files, rest_pids

_PLACES = re.compile(r"/(work|usr|opt|home|root|tmp|var|proc)/|\.py\b|line \d+|0x[0-9a-f]{6}")


@dataclass(frozen=True)
class Answer:
    status: int
    kind: str
    content: dict[str, Any]


class Before:
    """The processes and the songs in the store before the first case; no job waits or runs."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.folder = service.children["rest"].log.parent
        self._store = Store.from_settings(service.settings)
        for songhash in chain(*self._line().values()):  # left by other tests
            requests.delete(f"{service.url}/apiv1/remove/{songhash}", timeout=30)
        eventually(lambda: not self._busy(), 60)
        self._songs_before, self._processes_before = self._songs(), self._processes()

    def assert_nothing_was_added(self) -> None:
        """No job waits or runs, and the store has no object of a song that it did not have before."""
        assert self._line() == {"queue": [], "running": [], "waiting_retry": []}
        assert self._songs() - self._songs_before == set()

    def assert_processes_live_on(self) -> None:
        assert self._processes() == self._processes_before
        assert all(child.alive for child in self.service.children.values())

    def _songs(self) -> set[str]:
        """Return the songhashes with which the keys of all objects begin."""
        settings, minio = self.service.settings, self._store.minio
        buckets = (settings.bucket_in, settings.bucket_out)
        return {str(found.object_name)[:56] for bucket in buckets for found in minio.list_objects(bucket)}

    def _processes(self) -> set[int]:
        return {self.service.children["worker"].process.pid, *rest_pids(self.folder)}

    def _busy(self) -> bool:
        return any(self._line().values())

    def _line(self) -> dict[str, list[str]]:
        line: dict[str, list[str]] = requests.get(f"{self.service.url}/apiv1/queue", timeout=10).json()
        return line


@pytest.fixture(scope="module")
def before(service: Service) -> Before:
    return Before(service)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_gets_its_documented_answer(service: Service, before: Before, tmp_path: Path, case: Case) -> None:
    answer = send(service, case.wire())
    match case.outcome:
        case Closed():
            assert answer is None
        case Refused(status, code):
            assert answer
            assert answer.status == status, answer
            assert answer.kind == "application/problem+json", answer
            assert answer.content["status"] == status
            assert answer.content["code"] == code
            assert_sentence(answer.content["detail"])
        case outcome:
            songhash = accepted(answer)
            try:
                assert_end(outcome, service.url, songhash, tmp_path)
            finally:
                requests.delete(f"{service.url}/apiv1/remove/{songhash}", timeout=10)
    before.assert_nothing_was_added()


def send(service: Service, wire: bytes) -> Answer | None:
    """Send these bytes on a connection of their own; return the answer, None where there was none."""
    address = (service.settings.rest_host, service.settings.rest_port)
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(wire)
        connection.shutdown(socket.SHUT_WR)
        response = http.client.HTTPResponse(connection)
        try:
            response.begin()
        except (http.client.BadStatusLine, ConnectionResetError):
            return None
        text = response.read()
    kind = response.headers.get_content_type()
    return Answer(response.status, kind, json.loads(text) if kind.endswith("json") else {"text": text})


def accepted(answer: Answer | None) -> str:
    """Return the songhash of a song that was accepted."""
    assert answer
    assert answer.status == 200, answer
    songhash: str = answer.content["hash"]
    return songhash


def assert_end(outcome: Fails | Separated, url: str, songhash: str, folder: Path) -> None:
    """The job ends as expected; a job that succeeds has a stem of finite samples with the right length and name."""
    job = ended(url, songhash)
    if isinstance(outcome, Fails):
        assert job["status"] == "failed", job
        assert job["error"]["code"] == outcome.code, job
        assert_sentence(job["error"]["message"])
        return
    assert job["status"] == "succeeded", job
    [track] = job["tracks"]
    assert outcome.least - 0.001 <= track["seconds"] <= outcome.longest + 0.001
    download = requests.get(url + track["url"], timeout=10)
    (folder / "vocals.wav").write_bytes(download.content)
    assert np.isfinite(decode(folder / "vocals.wav")).all()
    if outcome.named is not None:
        assert not [name for name in download.headers if "evil" in name.lower()]
        _, name = download.headers["Content-Disposition"].split("filename*=UTF-8''")
        assert unquote(name) == f"{outcome.named or songhash}-vocals.wav"


def ended(url: str, songhash: str) -> dict[str, Any]:
    """Return the job's status once it has ended. Without a long poll, which looks every 0.25 s only."""
    job: dict[str, Any] = {}

    def over() -> bool:
        nonlocal job
        job = requests.get(f"{url}/apiv1/status/{songhash}", timeout=60).json()
        return job["status"] not in ("queued", "running")

    eventually(over, 60)
    return job


def assert_sentence(detail: str) -> None:
    """The detail is a sentence for people, without paths, line numbers or addresses of the service."""
    assert detail[0].isupper() or detail.startswith(("/", "*"))
    assert detail.endswith(".")
    assert 20 < len(detail) < 300
    assert not _PLACES.search(detail), detail


def test_no_temporary_file_of_a_refused_song_stays_open(before: Before) -> None:
    eventually(lambda: not open_temporary_files(before.folder))


def test_the_processes_that_had_bad_input_separate_a_good_song(service: Service, before: Before) -> None:
    songhash = accepted(send(service, post("audio/wav", plain_wav() + b"good")))

    status = ended(service.url, songhash)["status"]
    requests.delete(f"{service.url}/apiv1/remove/{songhash}", timeout=60)

    assert status == "succeeded"
    before.assert_processes_live_on()


def test_the_corpus_has_at_least_60_cases_with_distinct_names() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 60


def test_the_corpus_readme_is_up_to_date() -> None:
    assert (Path(__file__).parent / "corpus/README.md").read_text() == page()


def test_a_case_is_the_same_bytes_each_time_it_is_made() -> None:
    for case in CASES[::7]:
        assert case.wire() == case.wire()
