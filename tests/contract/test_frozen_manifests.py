"""Freezes the names in the manifests: objects, namespace, ports, selectors, images, variables, secrets and claims."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]

APPLIED_FILES = {
    "redis/redis-deployment.yaml": (
        "ConfigMap/redis-config PersistentVolumeClaim/redis-data Service/redis Deployment/redis"
    ),
    "minio/minio-deployment.yaml": "PersistentVolumeClaim/minio-data Service/myminio-proj Deployment/minio",
    "rest/rest-deployment.yaml": "Service/rest-service Deployment/rest",
    "worker/worker-deployment.yaml": "Deployment/worker",
}
NAMESPACES = {
    "k8s/base/kustomization.yaml": "msas",
    "k8s/overlays/gke/kustomization.yaml": "msas",
    "k8s/overlays/local/kustomization.yaml": "msas",
}
# By service: the labels of its pods, then each port as name, number and the container's port.
SERVICES = {
    "redis": ("app.kubernetes.io/name=redis app.kubernetes.io/part-of=msas", "redis 6379 redis"),
    "myminio-proj": (
        "app.kubernetes.io/name=minio app.kubernetes.io/part-of=msas",
        "s3 9000 s3",
        "console 9001 console",
    ),
    "rest-service": ("app.kubernetes.io/name=rest app.kubernetes.io/part-of=msas", "http 5000 http"),
}
DEPLOYMENTS: dict[str, dict[str, Any]] = {
    "redis": {
        "selector": "app.kubernetes.io/name=redis app.kubernetes.io/part-of=msas",
        "image": "docker.io/library/redis:7.2.12-bookworm",
        "ports": {"redis": 6379},
        "claims": {"/data": "redis-data"},
        "variables": {},
    },
    "minio": {
        "selector": "app.kubernetes.io/name=minio app.kubernetes.io/part-of=msas",
        "image": "quay.io/minio/minio:RELEASE.2025-09-07T16-13-09Z",
        "ports": {"s3": 9000, "console": 9001},
        "claims": {"/data": "minio-data"},
        "variables": {
            "MINIO_ROOT_USER": "secret minio-credentials/MINIO_ACCESS_KEY",
            "MINIO_ROOT_PASSWORD": "secret minio-credentials/MINIO_SECRET_KEY",
            "MINIO_UPDATE": "off",
            "HOME": "/tmp",
        },
    },
    "rest": {
        "selector": "app.kubernetes.io/name=rest app.kubernetes.io/part-of=msas",
        "image": "msas-rest:v1",
        "ports": {"http": 5000},
        "claims": {},
        "variables": {
            "REDIS_HOST": "redis",
            "REDIS_PORT": "6379",
            "REDIS_URL": "secret msas-redis/REDIS_URL optional",
            "MINIO_HOST": "myminio-proj:9000",
            "MINIO_ACCESS_KEY": "secret minio-credentials/MINIO_ACCESS_KEY",
            "MINIO_SECRET_KEY": "secret minio-credentials/MINIO_SECRET_KEY",
            "MAX_STORE_GB": "150",
            "API_KEYS": "secret msas-api-keys/API_KEYS optional",
            "ADMIN_KEYS": "secret msas-api-keys/ADMIN_KEYS optional",
            "CALLBACK_SECRET": "secret msas-callback-secret/CALLBACK_SECRET optional",
        },
    },
    "worker": {
        "selector": "app.kubernetes.io/name=worker app.kubernetes.io/part-of=msas",
        "image": "msas-worker:v1",
        "ports": {"metrics": 9100},
        "claims": {},
        "variables": {
            "REDIS_HOST": "redis",
            "REDIS_PORT": "6379",
            "REDIS_URL": "secret msas-redis/REDIS_URL optional",
            "MINIO_HOST": "myminio-proj:9000",
            "MINIO_ACCESS_KEY": "secret minio-credentials/MINIO_ACCESS_KEY",
            "MINIO_SECRET_KEY": "secret minio-credentials/MINIO_SECRET_KEY",
            "MODEL_NAME": "htdemucs",
            "DRAIN_SECONDS": "110",
            "METRICS_PORT": "9100",
        },
    },
}


def load(path: str) -> list[dict[str, Any]]:
    return list(filter(None, yaml.safe_load_all((ROOT / path).read_text())))


def load_kind(kind: str) -> dict[str, dict[str, Any]]:
    """Return the objects of one kind by name, of the files that people apply."""
    objects = [each for path in APPLIED_FILES for each in load(path)]
    return {each["metadata"]["name"]: each["spec"] for each in objects if each["kind"] == kind}


def join(labels: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(labels.items()))


def test_files_that_people_apply_create_these_objects() -> None:
    found = {
        path: " ".join(f"{each['kind']}/{each['metadata']['name']}" for each in load(path)) for path in APPLIED_FILES
    }

    assert found == APPLIED_FILES


def test_namespace_object_is_msas() -> None:
    [namespace] = load("k8s/base/namespace.yaml")

    assert (namespace["kind"], namespace["metadata"]["name"]) == ("Namespace", "msas")


def test_namespace_is_set_by_kustomize_alone() -> None:
    paths = [path.relative_to(ROOT).as_posix() for path in (ROOT / "k8s").rglob("kustomization.yaml")]

    found = {path: load(path)[0].get("namespace") for path in paths}

    assert {path: name for path, name in found.items() if name} == NAMESPACES
    assert not [path for path in APPLIED_FILES if "namespace:" in (ROOT / path).read_text()]


def test_services_have_these_ports_and_selectors() -> None:
    services = load_kind("Service")

    found = {
        name: (
            join(spec["selector"]),
            *(f"{port['name']} {port['port']} {port['targetPort']}" for port in spec["ports"]),
        )
        for name, spec in services.items()
    }

    assert found == SERVICES


def describe_variable(entry: dict[str, Any]) -> str:
    """Return the value, or the secret and its key where the value comes from one."""
    if "value" in entry:
        return str(entry["value"])
    secret = entry["valueFrom"]["secretKeyRef"]
    return f"secret {secret['name']}/{secret['key']}{' optional' if secret.get('optional') else ''}"


def describe_deployment(spec: dict[str, Any]) -> dict[str, Any]:
    pod = spec["template"]["spec"]
    [container] = pod["containers"]
    claims = {each["name"]: each.get("persistentVolumeClaim", {}).get("claimName") for each in pod["volumes"]}
    mounts = {each["mountPath"]: claims[each["name"]] for each in container["volumeMounts"]}
    return {
        "selector": join(spec["selector"]["matchLabels"]),
        "image": container["image"],
        "ports": {port["name"]: port["containerPort"] for port in container["ports"]},
        "variables": {entry["name"]: describe_variable(entry) for entry in container.get("env", [])},
        "claims": {path: claim for path, claim in mounts.items() if claim},
    }


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_deployment_has_this_image_these_ports_variables_and_claims(name: str) -> None:
    assert describe_deployment(load_kind("Deployment")[name]) == DEPLOYMENTS[name]
