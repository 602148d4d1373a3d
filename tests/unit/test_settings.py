"""Settings: the environment is read once, and what can't be understood is said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from msas.settings import Settings, SettingsError
from tests.support.processes import environment_with


def test_the_defaults_suit_one_machine() -> None:
    settings = Settings.from_environment({})
    assert (settings.redis_host, settings.redis_port, settings.minio_host) == ("localhost", 6379, "localhost:9000")
    assert (settings.work_queue, settings.log_list) == ("toWorker", "logging")
    assert (settings.bucket_in, settings.bucket_out, settings.model_name) == ("queue", "output", "auto")


def test_each_kind_of_value_is_read_and_an_empty_one_keeps_the_default() -> None:
    settings = Settings.from_environment(
        {"MINIO_SECURE": "True", "REDIS_PORT": "7000", "LEASE_SECONDS": "7.5", "MODEL_REPO": "/m", "REDIS_HOST": " "}
    )
    assert (settings.minio_secure, settings.redis_port, settings.lease_seconds) == (True, 7000, 7.5)
    assert (settings.model_repo, settings.redis_host) == (Path("/m"), "localhost")


def test_the_port_that_kubernetes_sets_for_a_service_named_redis_is_understood() -> None:
    assert Settings.from_environment({"REDIS_PORT": "tcp://10.96.0.7:6380"}).redis_port == 6380


@pytest.mark.parametrize(
    ("variable", "value"),
    [("REDIS_PORT", "six"), ("MINIO_SECURE", "perhaps"), ("LEASE_SECONDS", "soon"), ("BEAT_SECONDS", "31")],
)
def test_an_invalid_value_is_named(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        Settings.from_environment({variable: value})


@pytest.mark.parametrize("module", ["rest", "worker"])
def test_a_wrong_setting_ends_a_process_with_one_sentence(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module],
        cwd=Path(__file__).parents[2],
        env=environment_with(REDIS_PORT="six"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (2, "REDIS_PORT must be a whole number, but is 'six'.\n")


def test_settings_travel_through_the_environment_unchanged() -> None:
    settings = Settings(model_repo=Path("/models"), minio_secure=True, lease_seconds=7.5)
    assert Settings.from_environment(settings.to_environment()) == settings


def test_hosts_and_networks_are_read_from_one_setting() -> None:
    settings = Settings(callback_allow_hosts="Hooks.internal, 10.0.0.0/8,fd00::/8,127.0.0.1, my_host")
    hosts, networks = settings.callback_allowed()
    assert hosts == {"hooks.internal", "my_host"}
    assert [str(network) for network in networks] == ["10.0.0.0/8", "fd00::/8", "127.0.0.1/32"]


@pytest.mark.parametrize("value", ["10.0.0.1/8", "a.test:80", "http://a.test", "*.a.test", "10.0.0", "a b", "[::1]"])
def test_an_invalid_host_or_network_is_named(value: str) -> None:
    with pytest.raises(SettingsError, match="CALLBACK_ALLOW_HOSTS"):
        Settings(callback_allow_hosts=f"a.test,{value}")


@pytest.mark.parametrize(
    "value", ["secret", "YSBzZWNyZXQgb2YgMjcgYnl0ZXMsIG5vIGxlc3M=", "whsec_", "whsec_c2hvcnQ=", "whsec_ä" * 9]
)
def test_a_secret_that_is_too_weak_or_malformed_is_refused_without_being_shown(value: str) -> None:
    with pytest.raises(SettingsError, match="CALLBACK_SECRET") as caught:
        Settings(callback_secret=value)
    assert value not in str(caught.value).replace("whsec_ and", "")


def test_a_redis_url_replaces_host_and_port_and_is_shown_without_its_password() -> None:
    settings = Settings(redis_url="rediss://alice:secret@redis.test:6390/1?ssl_ca_certs=/ca.pem")

    assert settings.redis_location() == settings.redis_url
    assert settings.redis_address() == "redis.test:6390"
    assert Settings(redis_host="::1", redis_port=7).redis_location() == "redis://[::1]:7"


@pytest.mark.parametrize(
    "value",
    [
        "redis.test:6379",
        "http://redis.test",
        "redis://:secret@",
        "redis://a:secret@b:port",
        "redis://b/one",
        "redis://b?timeout=secret",
        "rediss://b?ssl_ca_certs",
    ],
)
def test_a_wrong_redis_url_is_refused_in_one_sentence_without_being_shown(value: str) -> None:
    with pytest.raises(SettingsError, match="REDIS_URL must be") as caught:
        Settings(redis_url=value)
    assert "secret" not in str(caught.value)


def test_settings_are_printed_without_their_secrets() -> None:
    secret = "whsec_bm9ib2R5IGtub3dzIHRoaXMgc2VjcmV0"
    settings = Settings(minio_secret_key="hidden", callback_secret=secret, redis_url="redis://:hidden@redis.test")

    assert "hidden" not in repr(settings)
    assert secret not in repr(settings)
