"""An S3 server that a test may stop and kill."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from local import servers
from local.child import Child
from msas.errors import StoreUnavailable
from msas.settings import Settings
from msas.store import Store
from tests.support.processes import environment_with, eventually


class OwnStore:
    """A SeaweedFS with its data in `folder`; a context manager. `settings` say where it is."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._ports = servers.free_ports(servers.STORE_PORTS)
        self.settings = replace(Settings(), minio_host=f"{servers.LOOPBACK}:{self._ports[0]}")
        secrets = {
            "AWS_ACCESS_KEY_ID": self.settings.minio_access_key,
            "AWS_SECRET_ACCESS_KEY": self.settings.minio_secret_key,
        }
        command = servers.store_command(self._ports, folder)
        self.child = Child(
            "store", command, environment_with(**secrets, **servers.STORE_ENVIRONMENT), folder / "store.log"
        )

    def __enter__(self) -> OwnStore:
        eventually(self.takes_objects, 60)
        return self

    def __exit__(self, *_: object) -> None:
        self.child.process.kill()
        self.child.process.wait()
        servers.remove_store_sockets(self._ports)

    def takes_objects(self) -> bool:
        try:
            Store.from_settings(self.settings, retries=0).check_writable()
        except StoreUnavailable:
            return False
        return True
