"""Starts Redis, the store, REST and a worker on one machine, starts again those that end, and stops them."""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import requests

from local import servers
from local.child import Child
from local.loading import LoadingBar
from msas.errors import Problem
from msas.queue import Queue
from msas.settings import Settings
from msas.store import Store

SETTINGS_FILE = "settings.env"
_START_SECONDS = 60.0
_MODEL_SECONDS = 600.0  # the first start may fetch weights
_SOON_SECONDS = 10.0  # what ends so soon after its start would only end again
_SICK = 3  # exit status of a worker; see worker/serve.py
_TRIES = 3  # a port that was free a moment ago may be taken by the time a server wants it


class ServiceError(RuntimeError):
    """The service could not be started or kept up; the text says why and what to do."""


class _Ended(ServiceError):
    """A server ended as soon as it began, likely because its port was taken meanwhile."""


class Service:
    """The whole service, its data in the folder `data`; a context manager.

    `port` is REST's, 5000 or any free one where None; a `port` that is taken is an error. `environment`
    overrides settings. Afterwards `url` is where REST answers, `settings` what all four share.
    """

    def __init__(self, data: Path, port: int | None = None, environment: Mapping[str, str] | None = None) -> None:
        self._data, self._port = data.resolve(), port
        self._environment = {**os.environ, "BLOCK_SECONDS": "1", "DRAIN_SECONDS": "0", **(environment or {})}
        self.children: dict[str, Child] = {}
        self._store_ports: list[int] = []
        self._lock: IO[str] | None = None
        self._http = requests.Session()
        self._http.trust_env = False  # no proxy stands between us and ourselves

    def __enter__(self) -> Service:
        self._take_data()
        for tries_left in reversed(range(_TRIES)):
            try:
                self._start()
                return self
            except _Ended:
                self._stop_children()
                if not tries_left:
                    self.stop()
                    raise
            except BaseException:
                self.stop()
                raise
        raise AssertionError("unreachable")

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def address(self) -> str:
        return f"{self.settings.rest_host}:{self.settings.rest_port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def model(self) -> dict[str, Any]:
        """Return the default model: its name, its stems, and a sentence about it."""
        offer = Queue.from_settings(self.settings).advertised_models() or {}
        found: dict[str, Any] = next(m for m in offer["models"] if m["name"] == offer["default"])
        return found

    def why_lite(self) -> str:
        """Return a line that says so where `auto` had to fall back on lite, else nothing."""
        if self.settings.model_name != "auto" or self.model()["name"] != "lite":
            return ""
        return "          (until the weights of htdemucs can be had from the model hub; the worker goes on trying)\n"

    def keep_up(self) -> None:
        """Start again what ended, as Kubernetes would. Raises ServiceError where that is no use.

        A worker that ended because it is sick gets a pause instead: what ails it may pass.
        """
        for child in self.children.values():
            if not child.alive:
                if time.monotonic() - child.started < _SOON_SECONDS:
                    if child.process.returncode == _SICK:
                        continue
                    raise ServiceError(f"{child.name} keeps ending: {child.last_words()}")
                print(f"{child.name} ended and is started again; its log is {child.log}", file=sys.stderr)
                child.start()

    def stop(self) -> None:
        """Stop everything: first what takes work, last what remembers it."""
        self._stop_children()
        if self._lock:
            (self._data / SETTINGS_FILE).unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def _stop_children(self) -> None:
        for name, grace_seconds in (("rest", 5.0), ("worker", 20.0), ("redis", 5.0), ("store", 1.0)):
            if child := self.children.pop(name, None):
                child.stop(grace_seconds)
        servers.remove_store_sockets(self._store_ports)

    def start_worker(self) -> None:
        """Start the worker, or start it again."""
        if "worker" in self.children:
            self.children["worker"].start()
        else:
            self._run("worker", [sys.executable, "-m", "worker"])

    def await_worker(self) -> None:
        """Wait until the worker has loaded its model and says what it offers; show how far its download is."""
        queue = Queue.from_settings(self.settings)
        bar = LoadingBar(queue)

        def is_offered() -> bool:
            bar.look()
            return queue.advertised_models() is not None

        try:
            self._await("worker", is_offered, _MODEL_SECONDS, lambda: bar.bytes)
        finally:
            bar.close()

    def _take_data(self) -> None:
        self._data.mkdir(parents=True, exist_ok=True)
        self._lock = (self._data / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise ServiceError(f"Another MSaaS keeps its data in {self._data}; stop it, or give other DATA.") from None
        shutil.rmtree(self._data / "scratch", ignore_errors=True)  # what a killed worker left

    def _start(self) -> None:
        redis_port, *self._store_ports = servers.free_ports(1 + servers.STORE_PORTS)
        if self._port is not None and not servers.is_free(self._port):
            raise ServiceError(f"Port {self._port} is taken; choose another PORT, or none.")
        usual = Settings.rest_port
        rest_port = self._port or (usual if servers.is_free(usual) else servers.free_ports(1)[0])
        places = {
            "REDIS_HOST": servers.LOOPBACK,
            "REDIS_PORT": str(redis_port),
            "REDIS_URL": "",
            "MINIO_HOST": f"{servers.LOOPBACK}:{self._store_ports[0]}",
            "MINIO_SECURE": "false",
            "REST_HOST": servers.LOOPBACK,
            "REST_PORT": str(rest_port),
        }
        space = {"MAX_STORE_GB": f"{self._store_gb():.3f}"}
        self.settings = Settings.from_environment({**space, **self._environment, **places})
        self._run("redis", servers.redis_command(redis_port, self._folder("redis")))
        self._run("store", servers.store_command(self._store_ports, self._folder("store")))
        self._tell_where()
        queue = Queue.from_settings(self.settings)
        self._await("redis", queue.now)
        queue.forget_models()
        self.start_worker()  # it loads its model while the store starts
        self._await("store", self._store_takes_objects)
        self._run("rest", [sys.executable, "-m", "rest"])
        self._await("rest", self._rest_is_ready)
        self.await_worker()

    def _tell_where(self) -> None:
        """Leave the settings where a shell finds them, for `make logs`, `make doctor` and whoever else would join."""
        lines = [f"{name}={shlex.quote(value)}\n" for name, value in self.settings.to_environment().items()]
        (self._data / SETTINGS_FILE).touch(mode=0o600)
        (self._data / SETTINGS_FILE).write_text("".join(lines))

    def _folder(self, name: str) -> Path:
        folder = self._data / name
        folder.mkdir(exist_ok=True)
        return folder

    def _store_gb(self) -> float:
        """Return what the store may hold, in GB: 70 % of what it has and what is free on its disk.

        SeaweedFS gives the room of removed objects back once they are 30 % of a volume.
        """
        folder = self._folder("store")
        held = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        return max(0.7 * (held + shutil.disk_usage(folder).free) / 1e9, 0.001)

    def _store_takes_objects(self) -> None:
        """SeaweedFS answers seconds before it takes the first object, for which it makes its volumes."""
        Store.from_settings(self.settings, retries=0).check_writable()

    def _rest_is_ready(self) -> bool:
        try:
            return self._http.get(f"{self.url}/readyz", timeout=10).ok
        except requests.RequestException:
            return False

    def _run(self, name: str, command: list[str]) -> None:
        credentials = {
            "AWS_ACCESS_KEY_ID": self.settings.minio_access_key,
            "AWS_SECRET_ACCESS_KEY": self.settings.minio_secret_key,
        }
        scratch = {"TMPDIR": str(self._folder("scratch"))}
        own = {**credentials, **scratch, **servers.STORE_ENVIRONMENT}
        environment = {**self._environment, **self.settings.to_environment(), **own}
        self.children[name] = Child(name, command, environment, self._data / "log" / f"{name}.log")

    def _await(
        self,
        name: str,
        ready: Callable[[], object],
        seconds: float = _START_SECONDS,
        progress: Callable[[], object] = lambda: None,
    ) -> None:
        """Wait until `ready` neither raises a Problem nor returns False; at most `seconds` without `progress`."""
        child, until, seen = self.children[name], time.monotonic() + seconds, progress()
        while child.alive and time.monotonic() < until:
            if progress() != seen:
                until, seen = time.monotonic() + seconds, progress()
            try:
                if ready() is not False:
                    return
            except Problem:
                pass
            time.sleep(0.05)
        kind = ServiceError if child.alive or name == "worker" else _Ended
        raise kind(f"{name} did not start: {child.last_words()}")
