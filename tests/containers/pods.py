"""The pods of an overlay, run by podman from the manifests.

Podman has no probes (the tests call them), no replicas (each is a pod of its own here) and no Services (aliases in the
network); ports (podman would bind them on the host) and size limits of volumes are left out.
"""

from __future__ import annotations

import base64
import copy
import json
import os
import socket
from functools import partial
from pathlib import Path

import requests
import yaml

from tests.containers.podman import Podman
from tests.support.manifests import Manifest, of_kind
from tests.support.processes import eventually

_LEFT_OUT = ("startupProbe", "readinessProbe", "livenessProbe", "lifecycle", "ports")


class Pods:
    """One overlay's pods. `variables` are set in our containers on top of what the manifests say."""

    def __init__(self, podman: Podman, manifests: list[Manifest], variables: dict[str, str]) -> None:
        self._podman, self._manifests, self._variables = podman, manifests, variables
        self._played: dict[str, str] = {}
        self._secrets: list[str] = []

    def secret(self, name: str, values: dict[str, str]) -> None:
        """Do what `kubectl create secret generic NAME --from-literal=...` does."""
        coded = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        self._secrets.append(name)
        self._remove_secrets()
        self._podman("secret", "create", name, "-", given=json.dumps(coded))

    def start(self, deployment: str) -> None:
        """Play the deployment's pods, each under the name of the Service that selects it."""
        template = self._of("Deployment", deployment)["spec"]["template"]
        network = f"--network={self._podman.network}"
        for service in self._services(template["metadata"]["labels"]):
            network = f"--network={self._podman.network}:alias={service}"
        for number in range(self._of("Deployment", deployment)["spec"]["replicas"]):
            name = f"{deployment}-{number}"
            documents = [*self._alongside(template), self._pod(name, template)]
            self._make_volumes(template)
            self._podman("kube", "play", network, "-", given=yaml.safe_dump_all(documents))
            self._played[name] = deployment

    def start_missing(self) -> None:
        """Start every deployment that has no pod."""
        for deployment in ("redis", "minio", "worker", "rest"):
            if deployment not in self._played.values():
                self.start(deployment)

    def kill(self, deployment: str) -> None:
        """Remove the deployment's pods at once, as a lost node does; volumes stay."""
        for name in [name for name, of in self._played.items() if of == deployment]:
            eventually(partial(self._gone, name))
            del self._played[name]

    def _gone(self, name: str) -> bool:
        try:
            self._podman("pod", "rm", "--force", "--ignore", "--time", 0, name)
        except AssertionError:  # one of its containers was just being started
            return False
        return True

    def address(self, name: str, port: int) -> str:
        """Return where the pod's port can be reached from here."""
        infra = self._podman("pod", "inspect", "--format", "{{.InfraContainerID}}", name).strip()
        wanted = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        return f"{self._podman('inspect', '--format', wanted, infra).strip()}:{port}"

    def probed(self, name: str, probe: str) -> bool:
        """Ask a pod's probe, as a kubelet would; say whether it is content."""
        [container] = self._of("Deployment", self._played[name])["spec"]["template"]["spec"]["containers"]
        asked = container[probe]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        try:
            match asked:
                case {"exec": {"command": command}}:
                    self.inside(name, *command)
                case {"tcpSocket": {"port": port}}:
                    host, number = self.address(name, ports[port]).split(":")
                    socket.create_connection((host, int(number)), 5).close()
                case {"httpGet": {"path": path, "port": port}}:
                    requests.get(f"http://{self.address(name, ports[port])}{path}", timeout=5).raise_for_status()
        except (AssertionError, OSError):  # requests' errors are OSErrors
            return False
        return True

    def inside(self, name: str, *command: str) -> str:
        """Run a command in the pod's one container, and return what it printed."""
        return self._podman("exec", f"{name}-{self._played[name]}", *command)

    def remove_all(self) -> None:
        """Remove the overlay's pods, volumes and secrets, also those of a test run that was cut off."""
        for name, deployment in of_kind("Deployment", self._manifests).items():
            for number in range(deployment["spec"]["replicas"]):
                eventually(partial(self._gone, f"{name}-{number}"))
        self._played.clear()
        for kind in ("PersistentVolumeClaim", "ConfigMap"):
            for name in of_kind(kind, self._manifests):
                self._podman("volume", "rm", "--force", name)
        self._remove_secrets()

    def _remove_secrets(self) -> None:
        known = self._podman("secret", "ls", "--format", "{{.Name}}").split()
        for name in set(self._secrets) & set(known):
            self._podman("secret", "rm", name)

    def _of(self, kind: str, name: str) -> Manifest:
        return of_kind(kind, self._manifests)[name]

    def _services(self, labels: dict[str, str]) -> list[str]:
        services = of_kind("Service", self._manifests)
        return [name for name, each in services.items() if each["spec"]["selector"].items() <= labels.items()]

    def _alongside(self, template: Manifest) -> list[Manifest]:
        """Return the maps that the pod mounts: podman wants them in the same breath."""
        names = [volume["configMap"]["name"] for volume in template["spec"]["volumes"] if "configMap" in volume]
        return [self._of("ConfigMap", name) for name in names]

    def _make_volumes(self, template: Manifest) -> None:
        """Make the pod's volumes, where they are not there, as a disk comes to a pod: given to its fsGroup."""
        for volume in template["spec"]["volumes"]:
            name = self._volume(volume)
            if not name or name in self._podman("volume", "ls", "--quiet").split():
                continue
            self._podman("volume", "create", name)
            # At its first use podman would give the volume to whoever has the folder in the image.
            image = template["spec"]["containers"][0]["image"]
            self._podman("run", "--rm", "--volume", f"{name}:/elsewhere", "--entrypoint", "true", image)
            folder = Path(self._podman("volume", "inspect", "--format", "{{.Mountpoint}}", name).strip())
            (folder / "lost+found").mkdir(mode=0o700)
            os.chown(folder, 0, template["spec"]["securityContext"]["fsGroup"])
            folder.chmod(0o2775)

    def _volume(self, volume: Manifest) -> str:
        """Return what podman calls the volume; '' for what lives as long as its pod."""
        claim, content = volume.get("persistentVolumeClaim", {}), volume.get("configMap", {})
        return str(claim.get("claimName", "") or content.get("name", ""))

    def _pod(self, name: str, template: Manifest) -> Manifest:
        spec = copy.deepcopy(template["spec"])
        for container in spec["containers"]:
            for part in _LEFT_OUT:
                container.pop(part, None)
            env = [each for each in container.get("env", []) if each["name"] not in self._variables]
            if container["image"].startswith("msas-"):
                env += [{"name": variable, "value": value} for variable, value in self._variables.items()]
                container["image"] = f"localhost/{container['image']}"
            container["env"] = env
        metadata = {"name": name, "labels": template["metadata"]["labels"]}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
