"""The doctor, against healthy and unhealthy servers: each check fails for its cause, and says what to
do."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local import Service, servers
from local.servers import free_ports
from msas.doctor import check_redis, check_workers
from msas.doctor.__main__ import run_checks
from msas.doctor.finding import Finding, Verdict
from msas.models import LITE, Model
from msas.queue import Consumer
from msas.settings import Settings
from msas.store import Store
from msas.store.lifecycle import mark_bucket
from tests.support.faultproxy import FaultProxy
from tests.support.offers import advertise_models
from tests.support.own_store import OwnStore
from tests.support.processes import environment_with
from tests.support.rig import Rig, stopped

ROOT = Path(__file__).parents[2]
OK, WARNING, ERROR = Verdict
OFFER: dict[str, Any] = {
    "models": [vars(LITE), vars(Model("htdemucs", ("vocals",), ""))],
    "default": "htdemucs",
    "cached": ["htdemucs"],
    "device": "CPU, 2 threads",
    "precision": "bfloat16",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnStore]:
    with OwnStore(tmp_path_factory.mktemp("own") / "store") as running:
        Store.from_settings(running.settings).set_lifecycle_rules(15)
        yield running


@pytest.fixture
def rig(store: OwnStore, tmp_path: Path) -> Iterator[Rig]:
    """A healthy service: a Redis of this test's own, a store of this module's own, a worker that holds a lease."""
    places: dict[str, Any] = {"bucket_in": "queue", "bucket_out": "output", "lease_seconds": 600.0}
    with Rig(tmp_path / "rig", store.settings, **places) as running:
        advertise_models(running.queue, OFFER)
        Consumer.from_settings(running.settings).renew(None)
        yield running


def ask(settings: Settings) -> dict[str, Finding]:
    return {finding.check: finding for finding in run_checks(settings)}


def sick(found: dict[str, Finding]) -> dict[str, Verdict]:
    """Return the findings that are not OK."""
    return {what: finding.verdict for what, finding in found.items() if finding.verdict is not OK}


def doctor(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [sys.executable, "-m", "msas.doctor", *arguments],
        env=environment_with(**settings.to_environment(), PYTHONIOENCODING="utf-8"),
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_healthy_service_passes_every_check_and_exits_with_0(rig: Rig) -> None:
    done = doctor(rig.settings)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 16
    for line in done.stdout.splitlines():
        assert line.startswith("✓ "), line
        assert line.endswith(".")


def test_the_doctor_changes_no_key_and_no_object(rig: Rig) -> None:
    redis_before, objects_before = redis_content(rig), object_versions(rig)

    ask(rig.settings)

    assert redis_content(rig) == redis_before
    assert object_versions(rig) == objects_before


def redis_content(rig: Rig) -> dict[bytes, object]:
    """Return the content of every key; of those that running workers renew all the time, only that they exist."""
    redis: Any = rig.queue.redis
    renewed = {f"{rig.queue.prefix}{name}".encode() for name in ("workers", "tick", "leader")}
    return {key: key in renewed or redis.dump(key) for key in redis.scan_iter()}


def object_versions(rig: Rig) -> set[tuple[str, str | None, str | None, object]]:
    """Return bucket, key, ETag and time of every object."""
    return {
        (bucket, found.object_name, found.etag, found.last_modified)
        for bucket in (rig.settings.bucket_in, rig.settings.bucket_out)
        for found in rig.store.minio.list_objects(bucket)
    }


def test_json_output_is_one_object(rig: Rig) -> None:
    content = json.loads(doctor(rig.settings, "--json").stdout)
    assert content["ok"] is True
    assert content["findings"][0].keys() == {"check", "verdict", "message"}
    rig.queue.redis.config_set("appendonly", "no")
    done = doctor(rig.settings, "--json")
    content = json.loads(done.stdout)
    assert (done.returncode, content["ok"]) == (1, False)
    assert [each["check"] for each in content["findings"] if each["verdict"] == "error"] == ["persistence"]


@pytest.mark.parametrize(
    ("name", "value", "expected", "advice"),
    [
        ("appendonly", "no", {"persistence": ERROR}, "appendonly yes"),
        ("maxmemory-policy", "allkeys-lru", {"eviction": ERROR}, "allkeys-lru"),
        ("maxmemory", "100mb", {}, ""),
        ("maxmemory", "1mb", {"memory": WARNING}, "maxmemory"),
    ],
)
def test_a_redis_without_persistence_or_with_eviction_is_reported(
    rig: Rig, name: str, value: str, expected: dict[str, Verdict], advice: str
) -> None:
    rig.queue.redis.config_set(name, value)
    found = ask(rig.settings)
    assert sick(found) == expected
    for what in expected:
        assert advice in found[what].message


def test_the_other_checks_run_while_redis_is_away(rig: Rig) -> None:
    settings = replace(rig.settings, redis_port=servers.free_ports(1)[0])
    done = doctor(settings)
    assert done.returncode == 1
    first, *others = done.stdout.splitlines()
    assert first.startswith(f"✗ Redis at localhost:{settings.redis_port} does not answer")
    assert "REDIS_PORT" in first
    assert any(line.startswith("✓ The store") for line in others)


def test_a_redis_that_hangs_is_reported_after_a_timeout(rig: Rig) -> None:
    with stopped(rig.redis):
        assert sick(ask(rig.settings)) == {"redis": ERROR}


def test_a_redis_that_is_too_old_is_wrong() -> None:
    found = check_redis._check_answer("redis:6379", {"redis_version": "6.2.14"}, 0.001)

    assert found.verdict is ERROR
    assert "use Redis 7 or later" in found.message


def test_a_slow_redis_is_a_warning(rig: Rig) -> None:
    proxy = FaultProxy(("127.0.0.1", rig.own_redis_port))
    proxy.delay = 0.15
    found = ask(replace(rig.settings, redis_port=proxy.port))
    proxy.close()
    assert sick(found) == {"redis": WARNING}


def test_wrong_credentials_are_told_from_a_store_that_is_away(rig: Rig) -> None:
    refused = ask(replace(rig.settings, minio_secret_key="not the one"))
    assert sick(refused) == {"store": ERROR}
    assert "MINIO_SECRET_KEY" in refused["store"].message
    away = ask(replace(rig.settings, minio_host=f"127.0.0.1:{servers.free_ports(1)[0]}"))
    assert sick(away) == {"store": ERROR}
    assert "MINIO_HOST" in away["store"].message


def test_missing_buckets_are_named_and_not_created(rig: Rig) -> None:
    settings = replace(rig.settings, bucket_in="not-yet")
    for _ in range(2):
        found = ask(settings)
        assert sick(found) == {"buckets": WARNING}
        assert "not-yet" in found["buckets"].message


def test_a_missing_lifecycle_rule_is_a_warning(rig: Rig) -> None:
    rig.store.minio.delete_bucket_lifecycle("output")
    assert sick(ask(rig.settings)) == {"lifecycle": WARNING}
    mark_bucket(rig.store.minio, "output")
    assert sick(ask(rig.settings)) == {}


def test_a_store_that_refuses_objects_is_an_error(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one whose disk is full: it answers, and knows the buckets."""
    monkeypatch.setattr(Store, "_get", lambda *_: None)
    found = ask(rig.settings)
    assert sick(found) == {"objects": ERROR}
    assert "disk" in found["objects"].message


@pytest.mark.parametrize(("off", "verdict"), [(-3, None), (60, WARNING), (-60, WARNING), (900, ERROR), (-900, ERROR)])
def test_a_wrong_clock_is_compared_with_both_servers(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, off: float, verdict: Verdict | None
) -> None:
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + off)
    found = ask(rig.settings)
    assert sick(found) == ({"clock of redis": verdict, "clock of the store": verdict} if verdict else {})
    if verdict:
        assert ("behind" if off > 0 else "ahead of") in found["clock of redis"].message


def test_missing_workers_and_missing_models_are_errors(rig: Rig) -> None:
    rig.queue.redis.delete(f"{rig.queue.prefix}workers")
    rig.accept()
    found = ask(rig.settings)
    assert sick(found) == {"workers": ERROR}
    assert "1 songs wait" in found["workers"].message
    advertise_models(rig.queue, None)
    assert sick(ask(rig.settings)) == {"workers": ERROR, "models": ERROR}


@pytest.mark.parametrize(
    ("offer", "model_name", "expected"),
    [
        ({"default": "lite", "cached": ["lite"]}, "auto", {"models": WARNING}),
        ({"default": "lite", "cached": ["lite"]}, "lite", {}),
        ({}, "htdemucs_ft", {"models": WARNING}),
        ({"cached": []}, "auto", {"weights": WARNING}),
    ],
)
def test_offered_models_that_differ_from_model_name_are_reported(
    rig: Rig, offer: dict[str, Any], model_name: str, expected: dict[str, Verdict]
) -> None:
    advertise_models(rig.queue, {**OFFER, **offer})
    assert sick(ask(replace(rig.settings, model_name=model_name))) == expected


def test_an_unused_gpu_is_a_warning(rig: Rig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "nvidia0").touch()
    monkeypatch.setattr(check_workers, "_GPU", tmp_path / "nvidia0")
    assert sick(ask(rig.settings)) == {"device": WARNING}
    advertise_models(rig.queue, {**OFFER, "device": "NVIDIA H200"})
    assert sick(ask(rig.settings)) == {}


def test_a_public_service_without_keys_is_a_warning(rig: Rig) -> None:
    everywhere = replace(rig.settings, rest_host="0.0.0.0")
    assert sick(ask(everywhere)) == {"keys": WARNING}
    assert sick(ask(replace(everywhere, api_keys=f"alice:{'0' * 64}"))) == {}


def test_default_credentials_at_a_remote_store_are_a_warning(rig: Rig) -> None:
    elsewhere = replace(rig.settings, minio_host="store.invalid:9000")
    assert sick(ask(elsewhere)) == {"store": ERROR, "credentials": WARNING}
    assert sick(ask(replace(elsewhere, minio_secret_key="our own"))) == {"store": ERROR}


def test_invalid_settings_end_the_doctor_with_one_sentence() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "msas.doctor"],
        env=environment_with(REDIS_PORT="six"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (2, "REDIS_PORT must be a whole number, but is 'six'.\n")


def test_make_doctor_finds_the_service_that_make_run_keeps(service: Service) -> None:
    where = service.children["redis"].log.parent.parent
    done = subprocess.run(
        ["make", "--no-print-directory", "doctor", f"DATA={where}"],
        cwd=ROOT,
        env=environment_with(REDIS_PORT="1", PYTHONIOENCODING="utf-8"),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert f"✓ Redis at 127.0.0.1:{service.settings.redis_port} answers" in done.stdout
    assert "✓ In the worker's cache: " in done.stdout
    assert (done.returncode, done.stderr) == (0, "")


def test_a_store_that_does_not_answer_is_an_error(rig: Rig) -> None:
    nowhere = replace(rig.settings, minio_host=f"127.0.0.1:{free_ports(1)[0]}")

    found = ask(nowhere)

    assert found["store"].verdict is ERROR
    assert "does not answer" in found["store"].message
