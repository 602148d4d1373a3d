"""All configuration: environment variables, read here and nowhere else."""

from __future__ import annotations

import base64
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit


class SettingsError(ValueError):
    """An environment variable has an invalid value; the message names it and says why."""


_REDIS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")
_CHOICES = {
    "device": ("auto", "cpu", "cuda"),
    "precision": ("auto", "float32", "bfloat16", "float16"),
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One field for each environment variable, whose name is the field's in capitals.

    The defaults suit one machine that runs all servers. Times are in seconds, sizes in megabytes.
    docs/settings.md describes each; a test compares the two.
    """

    redis_host: str = "localhost"
    redis_port: int = 6379
    redis_url: str = field(default="", repr=False)  # it may hold a password
    minio_host: str = "localhost:9000"
    minio_secure: bool = False
    minio_access_key: str = "rootuser"
    minio_secret_key: str = field(default="rootpass123", repr=False)
    work_queue: str = "toWorker"
    log_list: str = "logging"
    bucket_in: str = "queue"
    bucket_out: str = "output"
    model_name: str = "auto"
    model_repo: Path | None = None
    models_allowed: str = ""
    cache_dir: Path = Path("~/.cache/msas")
    device: str = "auto"
    precision: str = "auto"
    max_upload_mb: int = 200
    max_duration_minutes: float = 180.0
    max_cost_minutes: float = 1000.0
    max_output_mb: float = 10000.0
    max_queue: int = 1000
    max_queue_per_key: int = 100
    max_cost_minutes_per_key: float = 4000.0
    api_keys: str = ""
    admin_keys: str = ""
    rate_limit: str = "600/minute"
    trusted_hosts: str = ""
    callback_allow_hosts: str = ""
    callback_secret: str = field(default="", repr=False)
    rest_host: str = "127.0.0.1"
    rest_port: int = 5000
    rest_connections: int = 3000
    spool_mb: int = 3500
    metrics_port: int = 0
    lease_seconds: float = 30.0
    beat_seconds: float = 5.0
    block_seconds: float = 5.0
    retry_seconds: float = 5.0
    drain_seconds: float = 25.0
    stall_seconds: float = 600.0
    reconcile_seconds: float = 60.0
    compare_seconds: float = 86400.0
    keep_days: float = 7.0
    max_store_gb: float = 0.0  # 0: unknown

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise SettingsError(
                    f"{name.upper()} must be one of {', '.join(allowed)}, but is {getattr(self, name)!r}."
                )
        if self.beat_seconds >= self.lease_seconds or self.block_seconds >= self.lease_seconds:
            raise SettingsError(
                "BEAT_SECONDS and BLOCK_SECONDS must be shorter than LEASE_SECONDS; otherwise waiting workers lose "
                "their lease."
            )
        if self.redis_url and not _is_redis_url(self.redis_url):
            raise SettingsError(
                "REDIS_URL must be redis://[user:password@]host[:port][/database], or rediss://... for TLS, with no "
                f"options but {', '.join(_REDIS_OPTIONS)}; its value may contain a password and is not shown."
            )
        self.admins()
        self.trusted_names()
        self.callback_allowed()
        if self.callback_secret and not _is_webhook_secret(self.callback_secret):
            raise SettingsError("CALLBACK_SECRET must be whsec_ and then 24 to 64 random bytes in base64, or be empty.")

    def redis_location(self) -> str:
        """Return the URL of Redis, which may contain a password: REDIS_URL, else made of REDIS_HOST and REDIS_PORT."""
        host = f"[{self.redis_host}]" if ":" in self.redis_host else self.redis_host
        return self.redis_url or f"redis://{host}:{self.redis_port}"

    def redis_address(self) -> str:
        """Return host:port of Redis without password, for messages."""
        found = urlsplit(self.redis_location())
        return f"{found.hostname}:{found.port or 6379}"

    def keys(self) -> dict[str, str]:
        """Return the API keys as SHA-256 in hex, by name. Raises SettingsError where one is malformed."""
        found = {}
        for entry in self.api_keys.split(","):
            name, _, digest = entry.strip().partition(":")
            if not entry.strip():
                continue
            if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", name) or not re.fullmatch(r"[0-9a-f]{64}", digest):
                raise SettingsError(
                    "API_KEYS must be NAME:SHA256,... the SHA-256 in hex; create keys with python -m rest.keys NAME"
                )
            found[name] = digest
        return found

    def admins(self) -> frozenset[str]:
        """Return the names of the keys that may see and remove all songs.

        Raises SettingsError where a name is not in API_KEYS.
        """
        names, known = [name.strip() for name in self.admin_keys.split(",") if name.strip()], self.keys()
        for name in names:
            if name not in known:
                raise SettingsError(f"ADMIN_KEYS must be names of API_KEYS, but {name!r} is not among them.")
        return frozenset(names)

    def allowed_models(self) -> frozenset[str]:
        """Return the names in MODELS_ALLOWED, separated by commas or spaces; empty where it is."""
        return frozenset(self.models_allowed.replace(",", " ").split())

    def trusted_names(self) -> list[str]:
        """Return the further host names, in lower case, that REST accepts besides those of this machine and cluster.

        A leading dot includes all subdomains. Raises SettingsError for an invalid name.
        """
        names = [part.strip().lower() for part in self.trusted_hosts.split(",") if part.strip()]
        for name in names:
            if not re.fullmatch(r"\.?[a-z0-9_-]+(\.[a-z0-9_-]+)*", name):
                raise SettingsError(
                    "TRUSTED_HOSTS must be host names, without ports, separated by commas (.example.com includes its "
                    f"subdomains), but contains {name!r}."
                )
        return names

    def callback_allowed(self) -> tuple[frozenset[str], tuple[IPv4Network | IPv6Network, ...]]:
        """Return the hosts and networks that callbacks may reach besides the public Internet.

        Raises SettingsError for other entries.
        """
        hosts, networks = set(), []
        for entry in filter(None, (part.strip().lower() for part in self.callback_allow_hosts.split(","))):
            try:
                networks.append(ip_network(entry))
            except ValueError:
                if not re.fullmatch(r"(?=.*[a-z])[a-z0-9_-]+(\.[a-z0-9_-]+)*", entry):
                    raise SettingsError(
                        "CALLBACK_ALLOW_HOSTS must be host names, without ports, and networks such as 10.0.0.0/8, "
                        f"separated by commas, but contains {entry!r}."
                    ) from None
                hosts.add(entry)
        return frozenset(hosts), tuple(networks)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read the settings from `environment`, by default the process's own.

        Unset and empty variables have their default. Raises SettingsError for an invalid value.
        """
        environment = os.environ if environment is None else environment
        given: dict[str, Any] = {}
        for each in fields(cls):
            text = environment.get(each.name.upper(), "").strip()
            if text:
                given[each.name] = _parse(each.name.upper(), text, str(each.type))
        return cls(**given)

    @classmethod
    def from_environment_or_exit(cls) -> Settings:
        """Read the settings of a command; print an error and exit with status 2 where one is invalid."""
        try:
            return cls.from_environment()
        except SettingsError as error:
            print(error, file=sys.stderr)
            sys.exit(2)

    def to_environment(self) -> dict[str, str]:
        """Return the environment variables with which another process has the same settings."""
        return {
            each.name.upper(): str(value).lower() if isinstance(value, bool) else str(value)
            for each in fields(self)
            if (value := getattr(self, each.name)) is not None
        }


def _is_redis_url(text: str) -> bool:
    try:
        found = urlsplit(text)
        database, options = found.path.strip("/"), parse_qsl(found.query, strict_parsing=bool(found.query))
        is_whole = bool(found.hostname) and (found.port or 6379) > 0 and not found.fragment
    except ValueError:
        return False
    known = all(name in _REDIS_OPTIONS for name, _ in options)
    return found.scheme in ("redis", "rediss") and is_whole and known and (not database or database.isdecimal())


def _is_webhook_secret(text: str) -> bool:
    try:
        key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except ValueError:
        return False
    return text.startswith("whsec_") and 24 <= len(key) <= 64


def _parse(name: str, text: str, kind: str) -> Any:
    try:
        if kind == "bool":
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[text.lower()]
        if kind == "int":
            # Kubernetes sets REDIS_PORT=tcp://10.0.0.7:6379 in every pod beside a Service named redis.
            port = urlsplit(text).port if text.startswith("tcp://") else None
            return int(text) if port is None else port
        if kind == "float":
            return float(text)
    except (KeyError, ValueError):
        words = {"bool": "true or false", "int": "a whole number", "float": "a number"}
        raise SettingsError(f"{name} must be {words[kind]}, but is {text!r}.") from None
    return Path(text) if kind.startswith("Path") else text
