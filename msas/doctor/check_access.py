"""Checks the settings: API keys and the store's credentials of a service that other machines can reach."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from msas.doctor.finding import Finding, ok, warning
from msas.settings import Settings


def check_settings(settings: Settings) -> Iterator[Finding]:
    """Yield the findings about the settings of this process."""
    keys = len(settings.keys())
    if not keys and not _is_local(settings.rest_host):
        yield warning(
            "keys",
            f"REST listens on {settings.rest_host} without API_KEYS, so anyone who can reach it may use it: "
            "create keys with python -m rest.keys NAME.",
        )
    else:
        yield ok("keys", f"API keys: {keys}." if keys else "No API keys; only this machine can reach REST.")
    defaults = (Settings.minio_access_key, Settings.minio_secret_key)
    are_defaults = (settings.minio_access_key, settings.minio_secret_key) == defaults
    if are_defaults and not _is_local(settings.minio_host.rpartition(":")[0]):
        yield warning(
            "credentials",
            "The store's credentials are the published defaults: change them in the store, and set "
            "MINIO_ACCESS_KEY and MINIO_SECRET_KEY.",
        )
    else:
        text = "defaults; only this machine can reach it" if are_defaults else "not the defaults"
        yield ok("credentials", f"The store's credentials are {text}.")


def _is_local(host: str) -> bool:
    """Return whether only this machine can reach `host`."""
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
