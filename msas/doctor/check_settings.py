"""Findings of the settings: what works, but should not face strangers."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from msas.doctor.finding import Finding, look, well
from msas.settings import Settings


def setting_findings(settings: Settings) -> Iterator[Finding]:
    """Look at the settings that this process was given."""
    keys = len(settings.keys())
    if not keys and not _is_here(settings.rest_host):
        yield look(
            "keys",
            f"REST listens on {settings.rest_host} without API_KEYS, so that whoever reaches it may do everything: "
            "make keys with python -m rest.keys NAME.",
        )
    else:
        yield well("keys", f"API keys: {keys}." if keys else "No API keys, and REST listens on this machine alone.")
    usual = (Settings.minio_access_key, Settings.minio_secret_key)
    known = (settings.minio_access_key, settings.minio_secret_key) == usual
    if known and not _is_here(settings.minio_host.rpartition(":")[0]):
        yield look(
            "credentials",
            "The store's credentials are the defaults, which everybody knows: change them there, and set "
            "MINIO_ACCESS_KEY and MINIO_SECRET_KEY.",
        )
    else:
        yield well("credentials", "The store's credentials are " + ("for this machine alone." if known else "our own."))


def _is_here(host: str) -> bool:
    """Say whether only this machine can reach `host`."""
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
