"""The whole service on one machine: it starts where ports are taken, and leaves nothing behind when it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from local import Service, ServiceError
from local.child import Child
from local.servers import free_ports
from msas_client import Client, Status
from tests.support.audio import RATE, true_waves, write
from tests.support.manifests import ROOT
from tests.support.processes import alive, environment_with, eventually, restore_interrupt
from worker.serve import SICK


@contextmanager
def make_run(data: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run `python -m local run` as make does, in a session of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "local", "run", "--data", str(data), *arguments],
        cwd=ROOT,
        env=environment_with(MODEL_NAME="lite"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=restore_interrupt,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()


def url_of(process: subprocess.Popen[str]) -> str:
    """Read what the service prints until it says where it is."""
    assert process.stdout
    for line in process.stdout:
        if found := re.search(r"MSaaS is up at (\S+)", line):
            return found[1]
    raise AssertionError("it ended before it was up")


def descendants(pid: int) -> set[int]:
    """Return the process ids of all living descendants of `pid`."""
    children: dict[int, set[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(int(text.rpartition(")")[2].split()[1]), set()).add(int(stat.parent.name))
    found, waiting = set(), [pid]
    while waiting:
        new = children.get(waiting.pop(), set())
        found |= new
        waiting += new
    return found


def sockets_of(pids: set[int]) -> set[Path]:
    """Return the Unix sockets in /tmp of those among the processes that are SeaweedFS."""
    words = [word for pid in pids for word in Path(f"/proc/{pid}/cmdline").read_text().split("\0")]
    ports = [found[1] for word in words if (found := re.search(r"\.port(?:\.grpc)?=(\d+)$", word))]
    return {path for port in ports for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock")}


def left_over(family: set[int], sockets: set[Path]) -> list[int | Path]:
    """Return the processes of the family that are still alive, and the sockets that still exist."""
    return [*(pid for pid in family if alive(pid)), *(path for path in sockets if path.exists())]


@contextmanager
def taken(*ports: int) -> Iterator[None]:
    """Listen on these ports, unless another process does."""
    with ExitStack() as sockets:
        for port in ports:
            listening = sockets.enter_context(socket.socket())
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                listening.bind(("127.0.0.1", port))
                listening.listen()
        yield


@dataclass(frozen=True)
class FirstRun:
    """A run on a port of ours that was interrupted with one job done and one running."""

    data: Path
    port: int
    url: str
    exit_status: int
    left_over: list[int | Path]
    finished: str
    interrupted: str


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> FirstRun:
    folder = tmp_path_factory.mktemp("local")
    long = write(folder / "long.flac", true_waves()["mixture"].repeat(5, axis=1), codec="flac")
    short = write(folder / "short.wav", true_waves()["mixture"][:, RATE : 2 * RATE])
    [port] = free_ports(1)
    with taken(6379, 9000), make_run(folder / "data", "--port", str(port)) as process:
        url = url_of(process)
        with Client(url) as client:
            finished = client.separate(short, wait=True).songhash
            interrupted = client.separate(long).songhash
            eventually(lambda: client.status(interrupted).stage == "separating")
            family = descendants(process.pid)
            sockets = sockets_of(family)
            process.send_signal(signal.SIGINT)
            status = process.wait(120)
        return FirstRun(folder / "data", port, url, status, left_over(family, sockets), finished, interrupted)


@dataclass(frozen=True)
class SecondRun:
    """The next run on the same data, without a port of ours, that was killed."""

    url: str
    finished: Status
    stems: int
    resumed: dict[str, Any]
    family: set[int]


@pytest.fixture(scope="module")
def second_run(first_run: FirstRun, tmp_path_factory: pytest.TempPathFactory) -> SecondRun:
    with taken(5000), make_run(first_run.data) as process:
        url = url_of(process)
        with Client(url) as client:
            finished = client.status(first_run.finished)
            stems = len(client.download(first_run.finished, tmp_path_factory.mktemp("stems")))
            client.wait(first_run.interrupted, timeout=120)
            resumed = requests.get(f"{url}/apiv1/status/{first_run.interrupted}", timeout=10).json()
        family = descendants(process.pid)
        sockets = sockets_of(family)
        process.kill()
        process.wait()
    for path in sockets:
        path.unlink(missing_ok=True)  # a killed process can't do it
    return SecondRun(url, finished, stems, resumed, family)


def test_a_run_listens_on_the_port_it_was_given_though_redis_and_store_ports_are_taken(first_run: FirstRun) -> None:
    assert first_run.url == f"http://127.0.0.1:{first_run.port}"


def test_a_run_without_a_port_chooses_another_where_5000_is_taken(second_run: SecondRun) -> None:
    assert second_run.url != "http://127.0.0.1:5000"


def test_an_interrupted_run_ends_with_0_and_leaves_no_process_or_socket(first_run: FirstRun) -> None:
    assert first_run.exit_status == 0
    assert first_run.left_over == []


def test_the_next_run_has_the_stems_of_the_one_before(second_run: SecondRun) -> None:
    assert second_run.finished.state == "succeeded"
    assert second_run.stems == 4


def test_the_next_run_continues_an_interrupted_job_without_an_attempt(second_run: SecondRun) -> None:
    assert second_run.resumed["status"] == "succeeded"
    assert second_run.resumed["attempt"] == 1


def test_a_killed_run_takes_its_servers_with_it(second_run: SecondRun) -> None:
    eventually(lambda: not any(alive(pid) for pid in second_run.family), 60)


def test_a_killed_worker_is_started_again_and_its_job_succeeds(
    service: Service, client: Client, tmp_path: Path
) -> None:
    song = write(tmp_path / "long.flac", true_waves()["mixture"].repeat(5, axis=1)[:, 99:], codec="flac")
    songhash = client.separate(song).songhash
    eventually(lambda: client.status(songhash).stage == "separating")

    service.children["worker"].process.kill()
    eventually(lambda: not service.children["worker"].alive)
    service.start_worker()

    assert client.wait(songhash, timeout=120).state == "succeeded"
    assert requests.get(f"{service.url}/apiv1/status/{songhash}", timeout=10).json()["attempt"] == 2


def ended_child(tmp_path: Path, status: int) -> tuple[Service, Child]:
    """Return a service whose worker ended with this status as soon as it began."""
    service = Service(tmp_path)
    child = Child("worker", [sys.executable, "-c", f"raise SystemExit({status})"], os.environ, tmp_path / "worker.log")
    child.process.wait(60)
    service.children["worker"] = child
    return service, child


def test_a_worker_that_ends_as_soon_as_it_began_ends_the_service(tmp_path: Path) -> None:
    service, _ = ended_child(tmp_path, 1)

    with pytest.raises(ServiceError, match="keeps ending"):
        service.keep_up()


def test_a_sick_worker_that_ends_soon_is_started_again_after_a_pause(tmp_path: Path) -> None:
    service, child = ended_child(tmp_path, SICK)
    first = child.process

    service.keep_up()
    assert child.process is first, "not at once"
    child.started -= 60
    service.keep_up()
    child.process.wait(60)

    assert child.process is not first


def test_a_given_port_that_is_taken_is_an_error_with_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServiceError, match=f"Port {port} is taken; choose another PORT"), Service(tmp_path, port):
            pass


def test_a_second_service_on_the_same_data_folder_is_refused(service: Service) -> None:
    with pytest.raises(ServiceError, match="Another MSaaS keeps its data in"), Service(service._data):
        pass
    assert requests.get(f"{service.url}/readyz", timeout=10).status_code == 200


def test_an_unknown_model_ends_the_start_with_the_reason(tmp_path: Path, model_repo: Path) -> None:
    environment = {"MODEL_NAME": "nonesuch", "MODEL_REPO": str(model_repo)}
    with pytest.raises(ServiceError, match="There is no model 'nonesuch'; choose one of: lite, pair, small"):
        Service(tmp_path, None, environment).__enter__()


def test_the_demo_separates_a_given_song_and_prints_where_the_stems_are(tmp_path: Path) -> None:
    song = write(tmp_path / "夜.wav", true_waves()["mixture"][:, RATE : 2 * RATE])
    command = [sys.executable, "-m", "local", "demo", "--song", str(song), "--out", str(tmp_path / "stems")]
    done = subprocess.run([*command, "--model", "lite"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    stems = sorted((tmp_path / "stems/lite/夜").iterdir())
    assert [path.name for path in stems] == ["bass.mp3", "drums.mp3", "other.mp3", "vocals.mp3"]
    for path in stems:
        assert str(path) in done.stdout
    assert "lite" in done.stdout


@pytest.mark.parametrize(
    ("name", "content"), [("absent.mp3", None), pytest.param("words.mp3", "These are words.", marks=pytest.mark.long)]
)
def test_the_demo_exits_with_1_where_the_file_is_no_song(tmp_path: Path, name: str, content: str | None) -> None:
    if content:
        (tmp_path / name).write_text(content)
    command = [sys.executable, "-m", "local", "demo", "--song", str(tmp_path / name), "--out", str(tmp_path / "o")]
    done = subprocess.run([*command, "--model", "lite"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert not list(tmp_path.glob("o/*"))
