"""The manifests: each overlay builds with every choice of components and satisfies the schemas of Kubernetes."""

from __future__ import annotations

import json
from copy import deepcopy
from functools import cache

import kubernetes_validate
import pytest
from pydantic import ValidationError

from tests.support.crd_schemas import CRDS
from tests.support.manifests import (
    COMBINATIONS,
    COMPONENTS,
    OVERLAYS,
    ROOT,
    SERVICES,
    Manifest,
    build,
    container,
    everything,
    of_kind,
    overlay,
    pod,
    quantity,
    with_components,
)

# The oldest release that the manifests are for, and the newest whose schemas we have.
RELEASES = ("1.30", "1.37")
CLUSTER_WIDE = ("Namespace",)
OURS = ("rest", "worker")


def check(manifest: Manifest) -> None:
    """Raise kubernetes-validate's or pydantic's ValidationError where a cluster would not take the manifest."""
    if model := CRDS.get((manifest["apiVersion"], manifest["kind"])):
        assert set(manifest) == {"apiVersion", "kind", "metadata", "spec"}
        model.model_validate(manifest["spec"])
        return
    _check_once(json.dumps(manifest))


@cache
def _check_once(manifest: str) -> None:
    for release in RELEASES:
        kubernetes_validate.validate(json.loads(manifest), release, strict=True)


@pytest.mark.parametrize(
    ("name", "components"), COMBINATIONS, ids=lambda part: part if isinstance(part, str) else "+".join(part)
)
def test_every_overlay_builds_and_validates_with_every_choice_of_components(
    name: str, components: tuple[str, ...]
) -> None:
    manifests = with_components(name, components)
    for manifest in manifests:
        check(manifest)
    identities = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests]
    assert len(set(identities)) == len(identities)


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_object_of_an_overlay_is_in_the_namespace_msas(name: str) -> None:
    for manifest in with_components(name, COMPONENTS):
        expected = None if manifest["kind"] in CLUSTER_WIDE else "msas"
        assert manifest["metadata"].get("namespace") == expected, manifest["metadata"]["name"]
    assert "msas" in of_kind("Namespace", with_components(name, ()))


def test_a_misspelt_field_fails_validation_in_built_in_and_custom_kinds() -> None:
    misspelt = deepcopy(everything())
    for manifest in misspelt:
        if manifest["kind"] == "Deployment":
            container(manifest)["livenessprobe"] = container(manifest).pop("livenessProbe")
        elif (manifest["apiVersion"], manifest["kind"]) in CRDS:
            manifest["spec"]["interval"] = "30s"
        else:
            continue
        with pytest.raises((kubernetes_validate.ValidationError, ValidationError)):
            check(manifest)


def test_the_four_service_folders_equal_the_local_overlay_without_the_namespace() -> None:
    applied = [manifest for service in SERVICES for manifest in build(ROOT / service)]
    local = deepcopy(overlay("local"))
    for manifest in local:
        manifest["metadata"].pop("namespace", None)
    files, built = deepcopy(applied), [found for found in local if found["kind"] not in ("Namespace", "NetworkPolicy")]
    for manifest in (*files, *built):
        if manifest["kind"] == "Deployment":  # what is set aside is the overlay's to say
            container(manifest)["resources"].pop("requests")
    assert _sorted(files) == _sorted(built)


def _sorted(manifests: list[Manifest]) -> list[Manifest]:
    return sorted(manifests, key=lambda manifest: (manifest["kind"], manifest["metadata"]["name"]))


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_folder_names_no_namespace(service: str) -> None:
    assert "namespace:" not in (ROOT / service / f"{service}-deployment.yaml").read_text()
    assert all("namespace" not in manifest["metadata"] for manifest in build(ROOT / service))


def test_the_local_overlay_requests_little_enough_memory_for_a_laptop() -> None:
    memory = [container(found)["resources"]["requests"]["memory"] for found in _deployments("local")]
    assert sorted(memory) == ["1Gi", "256Mi", "256Mi", "64Mi"]


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_overlay_has_network_policies(name: str) -> None:
    assert {"deny-all", "redis", "minio"} <= set(of_kind("NetworkPolicy", overlay(name)))


def test_the_gpu_component_gives_the_worker_one_gpu_and_the_cuda_image() -> None:
    worker = of_kind("Deployment", with_components("local", ("gpu",)))["worker"]
    assert container(worker)["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container(worker)["image"] == "msas-worker:v1-cuda"
    in_the_cloud = of_kind("Deployment", with_components("gke", ("ingress", "gpu")))["worker"]
    assert quantity(container(in_the_cloud)["resources"]["requests"]["cpu"]) >= 6
    assert {"name": "DEVICE", "value": "cuda"} in container(worker)["env"]
    assert pod(worker)["nodeSelector"]
    assert [toleration["key"] for toleration in pod(worker)["tolerations"]] == ["nvidia.com/gpu"]


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_has_an_ingress_only_where_api_keys_are_required(name: str) -> None:
    for components in ((), ("ingress",)):
        manifests = with_components(name, components)
        [keys] = [
            entry for entry in container(of_kind("Deployment", manifests)["rest"])["env"] if entry["name"] == "API_KEYS"
        ]
        optional = keys["valueFrom"]["secretKeyRef"]["optional"]
        assert bool(of_kind("Ingress", manifests)) is not optional
    assert not of_kind("Ingress", overlay("local"))


def test_the_gke_overlay_uses_one_registry() -> None:
    ours = {name: container(found) for name, found in of_kind("Deployment", overlay("gke")).items() if name in OURS}
    registries = {name: found["image"].rpartition("/")[0] for name, found in ours.items()}
    assert registries["rest"] == registries["worker"] != ""


def _deployments(name: str) -> list[Manifest]:
    return list(of_kind("Deployment", overlay(name)).values())
