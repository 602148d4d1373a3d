"""REDIS_URL: a Redis with a user, a password and TLS serves REST, workers, the limiter of calls and the doctor."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
import requests

from local import Service
from msas.errors import QueueUnavailable
from msas.job import Status
from msas.queue import Queue
from rest.middleware.auth import key_digest
from tests.support.http_receivers import CERTIFICATE
from tests.support.processes import environment_with, eventually
from tests.support.rig import Rig, song
from tests.support.tls_proxy import TlsProxy

ROOT = Path(__file__).parents[2]
USER = ["--user", "alice", "on", ">hidden", "~*", "&*", "+@all", "--user", "default", "off"]
KEY = "a-key"


@pytest.fixture
def rig(service: Service, tmp_path: Path) -> Iterator[Rig]:
    """A rig whose Redis admits alice alone, and which is reached through TLS."""
    with TlsProxy() as proxy:
        options = f"ssl_ca_certs={quote(str(CERTIFICATE))}&ssl_check_hostname=false"
        url = f"rediss://alice:hidden@127.0.0.1:{proxy.port}/0?{options}"
        rig = Rig(tmp_path / "rig", service.settings, USER, redis_url=url, api_keys=f"bob:{key_digest(KEY)}")
        proxy.target = rig.own_redis_port
        with rig:
            yield rig


def test_a_song_is_separated_through_a_redis_with_user_password_and_tls(rig: Rig) -> None:
    rest, worker = rig.rest(), rig.worker()
    rig.ready(worker)
    headers = {"Authorization": f"Bearer {KEY}"}

    sent = requests.post(
        f"{rig.url}/apiv1/separate?model=quick&format=wav",
        data=song(1),
        headers={**headers, "Content-Type": "audio/wav"},
        timeout=60,
    )
    songhash = sent.json()["hash"]
    eventually(lambda: rig.job(songhash).status is Status.SUCCEEDED)
    doctor = subprocess.run(
        [sys.executable, "-m", "msas.doctor"],
        cwd=ROOT,
        env=environment_with(**rig.settings.to_environment()),
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert "✓ Redis at 127.0.0.1:" in doctor.stdout, doctor.stdout
    assert list(rig.queue.redis.scan_iter("*limits*bob*")), "calls are counted in the same Redis"
    for text in (doctor.stdout, doctor.stderr, rest.log.read_text(), worker.log.read_text()):
        assert "hidden" not in text


@pytest.mark.parametrize(
    ("part", "other"),
    [("alice:hidden@", ""), ("hidden", "guessed"), ("rediss:", "redis:"), (f"ssl_ca_certs={CERTIFICATE}&", "")],
    ids=["no user", "a wrong password", "no TLS", "an unknown authority"],
)
def test_a_client_that_redis_does_not_admit_is_told_that_it_does_not_answer(rig: Rig, part: str, other: str) -> None:
    wrong = rig.settings.redis_url.replace(part, other)
    if wrong.startswith("redis:"):
        wrong = wrong.partition("?")[0]
    assert wrong != rig.settings.redis_url

    with pytest.raises(QueueUnavailable) as refused:
        Queue.from_settings(replace(rig.settings, redis_url=wrong)).now()

    assert "hidden" not in str(refused.value)
