"""The images: small, without build tools, run by an ordinary user, with nothing to write to but /tmp."""

from __future__ import annotations

from pathlib import Path
from re import findall

import pytest
from requests import Session

from local.demo import default_song
from msas_client import Client
from tests.containers.conftest import answers
from tests.containers.podman import REST, WORKER, Podman, base_of
from tests.support.processes import eventually

BOTH = pytest.mark.parametrize("image", [REST, WORKER])


@BOTH
def test_an_image_runs_as_an_ordinary_user_who_can_not_change_it(images: Podman, image: str) -> None:
    assert images.once(image, "id", "-u").strip() == "10001"
    assert images.once(image, "sh", "-c", "find /opt -writable | head -3") == ""


@BOTH
def test_an_image_holds_no_build_tools_and_no_caches(images: Podman, image: str) -> None:
    for tool in ("gcc", "cc", "strip", "make", "git"):
        assert images.once(image, "sh", "-c", f"command -v {tool} || true") == "", tool
    assert images.once(image, "sh", "-c", "ls -d /build /root/.cache /opt/venv/bin/pip* 2>/dev/null || true") == ""
    assert images.once(image, "sh", "-c", "ls -A /var/lib/apt/lists /var/cache/apt | grep -v :; true").split() == []


@BOTH
def test_an_image_holds_only_the_packages_that_it_runs(images: Podman, image: str) -> None:
    packages = images.once(
        image,
        "sh",
        "-c",
        "cd /opt/venv/lib/python3*/site-packages && ls -d msas rest worker local bench tests 2>/dev/null || true",
    )
    assert packages.split() == ["msas", "rest" if image == REST else "worker"]


def test_rest_adds_less_than_250_mb_to_its_base(images: Podman) -> None:
    def size(image: str) -> int:
        return int(images("image", "inspect", "--format", "{{.Size}}", image))

    assert size(REST) - size(base_of("rest")) < 250e6  # of which numpy, for mixes, 70


def test_the_worker_image_holds_its_model(images: Podman) -> None:
    assert images.once(WORKER, "python", "-m", "worker.fetch_models", "lite") == "lite: in the cache\n"


def test_a_model_that_is_not_in_the_image_ends_the_worker_with_a_sentence(images: Podman) -> None:
    said = images.once(WORKER, "sh", "-c", "MODEL_NAME=htdemucs python -m worker; echo status $?")
    assert "The weights of the model 'htdemucs' are not in the cache" in said
    assert said.endswith("status 1\n")
    assert "Traceback" not in said


def test_a_song_is_separated_in_containers_that_write_only_to_tmp(running: Podman, tmp_path: Path) -> None:
    with Client(running.address("rest", 5000)) as client:
        job = client.separate(default_song(), wait=True)
        assert len(job.download(tmp_path)) == 4
    for name in ("worker", "rest"):
        assert running("diff", running.called(name)) == "C /etc\n", "that is podman's: the names of hosts"


def test_the_rest_image_serves_the_page_and_all_its_files(running: Podman) -> None:
    url = f"http://{running.address('rest', 5000)}"
    with Session() as browser:
        page = browser.get(url, headers={"Accept": "text/html"}, timeout=10)
        assert page.headers["Content-Type"].startswith("text/html")
        for name in findall(r'"(/page/[^"]+)"', page.text):
            assert browser.get(url + name, timeout=10).status_code == 200, name


def test_rest_and_worker_end_in_time_when_they_are_stopped(running: Podman) -> None:
    assert running.exit_status("rest", 30) == 0
    assert running.exit_status("worker", 35) == 0
    assert '"stopped"' in running.logs("worker")
    for name in ("rest", "worker"):
        running("start", running.called(name))
    eventually(lambda: running.logs("worker").count('"ready"') == 2, 60)
    eventually(lambda: answers(running, "/readyz"), 60)
