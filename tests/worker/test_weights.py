"""Downloads from a model hub: progress, breaks, resumption, hashes, refusals, locks; with the hub's own client."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from msas.errors import ModelUnavailable
from tests.support.fake_hub import COMMIT, DEMUCS_REPO, FakeHub, serving, small_demucs
from tests.support.hub_cache import use_hub
from tests.support.processes import environment_with, eventually
from worker.engines import demucs, demucs_weights
from worker.engines.runtime import Runtime
from worker.weights import hub as weights
from worker.weights.download import Download
from worker.weights.hub import HubFile

FILE = HubFile(DEMUCS_REPO, "small.safetensors")
FILES = small_demucs()
CONTENT = FILES[f"{DEMUCS_REPO}/small.safetensors"]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub with a small htdemucs, and an empty cache for its files."""
    with serving(FakeHub(dict(FILES))) as running:
        use_hub(running.url, tmp_path / "hub", monkeypatch)
        yield running
    weights.hub_answers.cache_clear()


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's pauses between its attempts are skipped."""
    monkeypatch.setattr("huggingface_hub.file_download.time", SimpleNamespace(sleep=lambda _: None, time=time.time))


def parts(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "hub").rglob("*.part"))


def test_a_file_is_downloaded_once_and_its_progress_told(hub: FakeHub) -> None:
    told: list[tuple[int, int]] = []

    [path] = weights.fetch([FILE], lambda done, total: told.append((done, total)))
    again = weights.fetch([FILE])

    assert path.read_bytes() == CONTENT
    assert path.parent.name == COMMIT
    assert again == [path]
    assert told == sorted(told)
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert len(told) > 3
    assert hub.sent_from("small.safetensors") == [""]


@pytest.mark.usefixtures("no_pauses")
def test_a_download_that_breaks_off_goes_on_where_it_ended(hub: FakeHub) -> None:
    hub.break_at = len(CONTENT) // 2

    [path] = weights.fetch([FILE])

    assert path.read_bytes() == CONTENT
    first, second = hub.sent_from("small.safetensors")
    assert first == ""
    assert int(second.removeprefix("bytes=").rstrip("-")) > 0


@pytest.mark.usefixtures("no_pauses")
def test_a_download_is_resumed_by_the_next_attempt_after_the_hub_was_away(hub: FakeHub, tmp_path: Path) -> None:
    def leave(done: int, _: int) -> None:
        if done > len(CONTENT) // 3:
            raise RuntimeError("this process ends")

    with pytest.raises(RuntimeError):
        weights.fetch([FILE], leave)
    [part] = parts(tmp_path)
    kept = part.stat().st_size

    [path] = weights.fetch([FILE])

    assert path.read_bytes() == CONTENT
    assert hub.sent_from("small.safetensors") == ["", f"bytes={kept}-"]
    assert parts(tmp_path) == []


def test_what_has_another_hash_is_thrown_away_and_not_linked_into_the_cache(hub: FakeHub, tmp_path: Path) -> None:
    hub.lie = True

    with pytest.raises(ModelUnavailable, match="its SHA-256 is not the one that is stated"):
        weights.fetch([FILE])

    assert parts(tmp_path) == []
    assert FILE.cached() is None
    hub.lie = False
    assert weights.fetch([FILE])[0].read_bytes() == CONTENT


@pytest.mark.usefixtures("hub")
def test_a_file_whose_hash_we_know_better_than_the_hub_is_refused() -> None:
    with pytest.raises(ModelUnavailable, match="SHA-256"):
        weights.fetch([HubFile(FILE.repo, FILE.name, sha256="0" * 64)])


@pytest.mark.usefixtures("hub")
def test_a_file_that_was_damaged_in_the_cache_is_removed_and_downloaded_again(runtime: Runtime) -> None:
    demucs_weights.fetch("htdemucs")
    path = FILE.cached()
    assert path
    path.resolve().write_bytes(CONTENT[:-1] + b"x")

    with pytest.raises(ModelUnavailable, match="removed and will be downloaded again"):
        demucs.load("htdemucs", None, runtime)

    assert not demucs_weights.is_cached("htdemucs")
    demucs_weights.fetch("htdemucs")
    assert demucs_weights.is_cached("htdemucs")


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (401, "set HF_TOKEN"),
        (403, "HF_TOKEN may not read it"),
        (404, "it is not there"),
        (429, "too many calls"),
        (500, "try again later"),
    ],
)
def test_a_refusal_of_the_hub_is_told_in_one_sentence(hub: FakeHub, status: int, why: str) -> None:
    hub.refuse = status

    with pytest.raises(ModelUnavailable) as refused:
        weights.fetch([FILE])

    assert f"HTTP {status}" in refused.value.detail
    assert why in refused.value.detail
    assert "\n" not in refused.value.detail


@pytest.mark.usefixtures("hub")
def test_a_file_that_the_hub_does_not_have_is_told() -> None:
    with pytest.raises(ModelUnavailable, match=r"none\.safetensors \(HTTP 404\): it is not there"):
        weights.fetch([HubFile(DEMUCS_REPO, "none.safetensors")])


@pytest.mark.usefixtures("hub")
def test_a_hub_that_is_away_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_hub("http://127.0.0.1:1", tmp_path / "hub", monkeypatch)

    with pytest.raises(ModelUnavailable, match="can not be reached or broke off"):
        weights.fetch([FILE])


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(
    ("number", "why"), [(errno.ENOSPC, "is full"), (errno.EROFS, "can not be written"), (errno.EIO, "OSError")]
)
def test_a_disk_that_refuses_is_told_in_one_sentence(number: int, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(weights, "http_get", refuse)

    with pytest.raises(ModelUnavailable, match=why):
        weights.fetch([FILE])


def test_a_disk_with_too_little_room_is_told_before_the_download(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: type("Found", (), {"f_bavail": 1, "f_frsize": 512}))

    with pytest.raises(ModelUnavailable, match="disk of the model cache is full"):
        weights.fetch([FILE])

    assert hub.sent_from("small.safetensors") == []


def test_processes_that_share_a_cache_download_a_file_once(hub: FakeHub) -> None:
    hub.bytes_per_second = 2_000_000
    told: list[list[int]] = [[], []]
    threads = [
        threading.Thread(target=weights.fetch, args=([FILE], lambda done, _, mine=mine: mine.append(done)))
        for mine in told
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert hub.sent_from("small.safetensors") == [""]
    assert all(mine[-1] == len(CONTENT) and len(set(mine)) > 2 for mine in told), "both see the progress"


FETCH = "from worker.weights.hub import HubFile, fetch; fetch([HubFile({repo!r}, {name!r})])"


def test_a_download_that_was_killed_is_resumed_by_another_process(hub: FakeHub, tmp_path: Path) -> None:
    hub.bytes_per_second = 300_000
    environment = environment_with(HF_ENDPOINT=hub.url, HF_HUB_CACHE=str(tmp_path / "hub"), HF_HUB_OFFLINE="")
    command = [sys.executable, "-c", FETCH.format(repo=FILE.repo, name=FILE.name)]
    with subprocess.Popen(command, env=environment) as killed:
        eventually(lambda: any(part.stat().st_size for part in parts(tmp_path)))
        killed.send_signal(signal.SIGKILL)
    kept = parts(tmp_path)[0].stat().st_size

    hub.bytes_per_second = 0
    subprocess.run(command, env=environment, check=True, timeout=60)

    assert FILE.cached()
    assert hub.sent_from("small.safetensors") == ["", f"bytes={kept}-"]


# Downloads that are watched


@pytest.mark.usefixtures("no_pauses")
def test_a_watched_download_tells_how_far_it_is_and_survives_breaks(hub: FakeHub) -> None:
    hub.bytes_per_second, hub.break_at = 1_000_000, len(CONTENT) // 2
    seen: list[int] = []

    Download("htdemucs", demucs_weights.fetch).watch(lambda load: seen.append(load.bytes))

    assert demucs_weights.is_cached("htdemucs")
    assert len(set(seen)) > 2


def test_a_watcher_that_leaves_ends_the_download_and_what_came_is_kept(hub: FakeHub, tmp_path: Path) -> None:
    hub.bytes_per_second = 500_000
    download = Download("htdemucs", demucs_weights.fetch)

    def leave(_: object) -> None:
        if any(part.stat().st_size for part in parts(tmp_path)):
            raise InterruptedError

    with pytest.raises(InterruptedError):
        download.watch(leave)
    download._thread.join(10)

    assert not download._thread.is_alive()
    assert parts(tmp_path)


def test_a_download_that_stalls_is_told_and_goes_on(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.weights.download.STALL_SECONDS", 0.5)
    hub.hang = True
    download = Download("htdemucs", demucs_weights.fetch)

    with pytest.raises(ModelUnavailable, match="stalls at 0 of"):
        download.watch(lambda _: None)

    hub.hang = False
    eventually(lambda: download.is_done)


def test_a_refused_download_ends_with_its_reason(hub: FakeHub) -> None:
    hub.refuse = 401

    with pytest.raises(ModelUnavailable, match="HTTP 401"):
        Download("htdemucs", demucs_weights.fetch).watch(lambda _: None)
