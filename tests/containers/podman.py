"""Podman, as these tests need it: it builds our images, runs containers, and removes what it ran."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
REST, WORKER = "localhost/msas-rest:v1", "localhost/msas-worker:v1"
# As the manifests have it: nothing of the image can be written, nothing can be gained.
HARDENED = ("--read-only", "--tmpfs=/tmp:mode=1777", "--cap-drop=all", "--security-opt=no-new-privileges")
_BASES = {"python": "docker.io/library/python", "redis": "docker.io/library/redis", "minio": "quay.io/minio/minio"}


def stand_in_images() -> Path | None:
    """Return the tool that makes base images where no registry can be reached, if this checkout has one beside it."""
    named = os.environ.get("STAND_IN_IMAGES")
    path = Path(named) if named else ROOT.parent / "shared" / "tools" / "stand-in-images"
    return path if path.is_file() else None


class Podman:
    """Runs `podman`; each call raises CalledProcessError, with what it said, where that fails."""

    def __init__(self) -> None:
        self._environment = dict(os.environ)
        self.network = f"msas-test-{secrets.token_hex(3)}"
        self._ran: set[str] = set()
        if tool := stand_in_images():
            said = subprocess.run([tool, "setup"], check=True, capture_output=True, text=True).stdout
            for name, value in re.findall(r"^export (\w+)=(.*)$", said, re.MULTILINE):
                self._environment[name] = value

    def __call__(self, *arguments: object, given: str | None = None, seconds: float = 120) -> str:
        """Run `podman ARGUMENTS` and return what it printed on stdout."""
        command = ["podman", *map(str, arguments)]
        done = subprocess.run(
            command, env=self._environment, input=given, capture_output=True, text=True, timeout=seconds
        )
        if done.returncode:
            raise AssertionError(f"{' '.join(command)} failed with {done.returncode}: {done.stderr[-2000:]}")
        return done.stdout

    def base(self, image: str) -> None:
        """Have a base image: a stand-in of it, or the real one from its registry."""
        kinds = [kind for kind, name in _BASES.items() if image.startswith(f"{name}:")]
        tool = stand_in_images()
        if tool and kinds:
            command = [str(tool), kinds[0], image]
            subprocess.run(command, env=self._environment, check=True, capture_output=True, timeout=600)
        elif not self("images", "--quiet", image):
            self("pull", "--quiet", image, seconds=600)

    def build_ours(self) -> None:
        """Build our images, with the lite model, whose weights can be had everywhere."""
        self.build("rest", REST)
        self.build("worker", WORKER, MODELS="lite")

    def build(self, folder: str, tag: str, **arguments: str) -> None:
        """Build FOLDER/Dockerfile as `tag`, its base first."""
        self.base(base_of(folder))
        given = [f"--build-arg={name}={value}" for name, value in arguments.items()]
        wheels = os.environ.get("PIP_FIND_LINKS", "")
        seen = [f"--volume={path}:{path}:ro" for path in ("/etc/ssl/certs", wheels) if path and Path(path).is_dir()]
        options = ["--network=host", "--ulimit=nofile=8192:8192", *seen, *given]
        self("build", *options, "--file", ROOT / folder / "Dockerfile", "--tag", tag, ROOT, seconds=900)

    def run(self, name: str, image: str, *options: str, command: tuple[str, ...] = ()) -> None:
        """Start a container that goes by `name` in our network."""
        self._ran.add(name)
        network = f"--network={self.network}:alias={name}"
        self("run", "--detach", "--name", self.called(name), network, *options, image, *command)

    def called(self, name: str) -> str:
        """Return what podman knows the container by: others may run beside it."""
        return f"{self.network}-{name}"

    def logs(self, name: str) -> str:
        return self("logs", self.called(name))

    def once(self, image: str, *command: str, network: str = "none") -> str:
        """Run a command in a container of its own, hardened, and return what it printed."""
        entrypoint, *arguments = command
        return self("run", "--rm", f"--network={network}", *HARDENED, "--entrypoint", entrypoint, image, *arguments)

    def address(self, name: str, port: int) -> str:
        """Return where the container's port can be reached from here."""
        [ip] = self(
            "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", self.called(name)
        ).split()
        return f"{ip}:{port}"

    def exit_status(self, name: str, stop_seconds: int) -> int:
        """Stop the container as a pod is stopped, and return its exit status: 137 where it had to be killed."""
        self("stop", "--time", stop_seconds, self.called(name), seconds=stop_seconds + 60)
        return int(self("inspect", "--format", "{{.State.ExitCode}}", self.called(name)))

    def remove_all(self) -> None:
        for name in self._ran:
            self("rm", "--force", "--time", 10, self.called(name))
        self._ran.clear()


def base_of(folder: str) -> str:
    """Return the image that FOLDER/Dockerfile builds upon."""
    found = re.search(r"^ARG PYTHON=(\S+)$", (ROOT / folder / "Dockerfile").read_text(), re.MULTILINE)
    assert found
    return found[1]


def missing() -> str:
    """Return why containers can't be run here; '' where they can. Installs podman where the tool beside us can."""
    if os.geteuid() != 0:
        return "root is needed"
    if not shutil.which("podman") and not stand_in_images():
        return "there is no podman"
    try:
        Podman().base(base_of("rest"))
    except (OSError, subprocess.SubprocessError, AssertionError) as error:
        return f"podman has no base images here ({type(error).__name__})"
    return ""
