"""The images: small, without what only the build needs, run by nobody, writing nowhere but in /tmp."""

from __future__ import annotations

from pathlib import Path
from re import findall

import pytest
from requests import Session

from local.demo import default_song
from msas_client import Client
from tests.containers.conftest import REST, WORKER
from tests.containers.podman import Podman, base_of
from tests.support.processes import eventually

BOTH = pytest.mark.parametrize("image", [REST, WORKER])


@BOTH
def test_an_image_is_run_by_a_user_who_is_nobody(images: Podman, image: str) -> None:
    assert images.once(image, "id", "-u").strip() == "10001"
    assert images.once(image, "sh", "-c", "find /opt -writable | head -3") == ""


@BOTH
def test_nothing_of_the_build_is_left_in_an_image(images: Podman, image: str) -> None:
    for tool in ("gcc", "cc", "strip", "make", "git"):
        assert images.once(image, "sh", "-c", f"command -v {tool} || true") == "", tool
    assert images.once(image, "sh", "-c", "ls -d /build /root/.cache /opt/venv/bin/pip* 2>/dev/null || true") == ""
    assert images.once(image, "sh", "-c", "ls -A /var/lib/apt/lists /var/cache/apt | grep -v :; true").split() == []


@BOTH
def test_an_image_has_no_code_that_it_does_not_run(images: Podman, image: str) -> None:
    packages = images.once(
        image,
        "sh",
        "-c",
        "cd /opt/venv/lib/python3*/site-packages && ls -d msas rest worker local bench tests 2>/dev/null || true",
    )
    assert packages.split() == ["msas", "rest" if image == REST else "worker"]


def test_rest_adds_less_than_150_mb_to_its_base(images: Podman) -> None:
    def size(image: str) -> int:
        return int(images("image", "inspect", "--format", "{{.Size}}", image))

    assert size(REST) - size(base_of("rest")) < 150e6


def test_the_worker_brings_its_model_along_and_needs_no_way_out(images: Podman) -> None:
    assert images.once(WORKER, "python", "-m", "worker.fetch", "lite") == "lite: in the cache\n"


def test_a_model_that_was_not_baked_in_is_said_not_to_be_there(images: Podman) -> None:
    said = images.once(WORKER, "sh", "-c", "MODEL_NAME=htdemucs python -m worker; echo status $?")
    assert "The weights of the model 'htdemucs' are not in the cache" in said
    assert said.endswith("status 1\n")
    assert "Traceback" not in said


def test_a_song_becomes_stems_in_containers_that_can_write_nowhere_but_in_tmp(running: Podman, tmp_path: Path) -> None:
    with Client(running.address("rest", 5000)) as client:
        job = client.separate(default_song(), wait=True)
        assert len(job.download(tmp_path)) == 4
    for name in ("worker", "rest"):
        assert running("diff", running.called(name)) == "C /etc\n", "that is podman's: the names of hosts"


def test_rest_brings_the_page_along(running: Podman) -> None:
    url = f"http://{running.address('rest', 5000)}"
    with Session() as browser:
        page = browser.get(url, headers={"Accept": "text/html"}, timeout=10)
        assert page.headers["Content-Type"].startswith("text/html")
        for name in findall(r'"(/page/[^"]+)"', page.text):
            assert browser.get(url + name, timeout=10).status_code == 200, name


def test_told_to_stop_the_worker_leaves_and_rest_ends_in_time(running: Podman) -> None:
    assert running.exit_status("rest", 30) == 0
    assert running.exit_status("worker", 35) == 0
    assert '"stopped"' in running.logs("worker")
    for name in ("rest", "worker"):
        running("start", running.called(name))
    eventually(lambda: running.logs("worker").count('"ready"') == 2, 60)
