"""The whole service on one machine: it starts where ports are taken, and leaves nothing behind when it ends."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from local import Service, ServiceError
from local.servers import free_ports
from msas_client import Client
from tests.support.audio import RATE, true_waves, write
from tests.support.processes import alive, environment_with, eventually

ROOT = Path(__file__).parents[2]


@contextmanager
def make_run(data: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run `python -m local run` as make does, in a session of its own; yields once it printed its URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "local", "run", "--data", str(data), *arguments],
        cwd=ROOT,
        env=environment_with(MODEL_NAME="lite"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
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


def test_it_is_up_at_the_port_that_was_asked_for_and_leaves_no_process_behind_when_it_is_ended(tmp_path: Path) -> None:
    [port] = free_ports(1)
    with make_run(tmp_path, "--port", str(port)) as process:
        url = url_of(process)
        assert url == f"http://127.0.0.1:{port}"
        family = descendants(process.pid)
        assert len(family) >= 4
        assert requests.get(url, timeout=10).status_code == 200
        sockets = sockets_of(family)
        process.terminate()
        assert process.wait(60) == 0
        assert not [path for path in sockets if path.exists()]
        assert not [pid for pid in family if alive(pid)]


def test_even_killed_outright_it_takes_its_servers_with_it(tmp_path: Path) -> None:
    with make_run(tmp_path) as process:
        url_of(process)
        family = descendants(process.pid)
        sockets = sockets_of(family)
        assert sockets
        process.kill()
        process.wait()
        eventually(lambda: not [pid for pid in family if alive(pid)], 60)
    for left in sockets:
        left.unlink(missing_ok=True)  # nobody was left to do it


def test_a_song_in_work_when_it_is_stopped_goes_on_at_the_next_start(tmp_path: Path) -> None:
    song = write(tmp_path / "long.mp3", true_waves()["mixture"].repeat(5, axis=1), codec="libmp3lame")
    done = write(tmp_path / "short.wav", true_waves()["mixture"][:, RATE : 2 * RATE])
    with make_run(tmp_path / "data") as process:
        client = Client(url_of(process))
        finished = client.separate(done).songhash
        client.wait(finished, timeout=60)
        songhash = client.separate(song).songhash
        eventually(lambda: client.status(songhash).stage == "separating")
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0, said
    with make_run(tmp_path / "data") as process:
        client = Client(url_of(process))
        assert client.status(finished).state == "succeeded"
        assert len(client.download(finished, tmp_path / "out")) == 4
        client.wait(songhash, timeout=120)
        status = requests.get(f"{client.url}/apiv1/status/{songhash}", timeout=10).json()
        assert (status["status"], status["attempt"]) == ("succeeded", 1), "handed back, not lost"
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0, said


def test_a_killed_worker_is_started_again_and_its_song_is_separated(tmp_path: Path) -> None:
    environment = {"MODEL_NAME": "lite", "LEASE_SECONDS": "2", "BEAT_SECONDS": "0.3"}
    song = write(tmp_path / "long.mp3", true_waves()["mixture"].repeat(5, axis=1), codec="libmp3lame")
    with Service(tmp_path / "data", None, environment) as service, Client(service.address) as client:
        songhash = client.separate(song).songhash
        eventually(lambda: client.status(songhash).stage == "separating")
        service.children["worker"].process.kill()
        eventually(lambda: not service.children["worker"].alive)
        service.start_worker()
        assert client.wait(songhash, timeout=120).state == "succeeded"
        assert requests.get(f"{service.url}/apiv1/status/{songhash}", timeout=10).json()["attempt"] == 2


def test_it_starts_where_the_usual_ports_are_taken(tmp_path: Path) -> None:
    with socket.socket() as redis, socket.socket() as store, socket.socket() as rest:
        for taken, port in ((redis, 6379), (store, 9000), (rest, 5000)):
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                taken.bind(("127.0.0.1", port))
                taken.listen()
            except OSError:
                pass  # somebody else has it, which will do
        with Service(tmp_path, None, {"MODEL_NAME": "lite"}) as service:
            assert service.settings.rest_port != 5000
            assert requests.get(f"{service.url}/readyz", timeout=10).status_code == 200


def test_a_port_that_was_asked_for_and_is_taken_is_an_error_with_a_clear_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServiceError, match=f"Port {port} is taken; choose another PORT"), Service(tmp_path, port):
            pass


def test_one_data_folder_serves_one_service_at_a_time(service: Service) -> None:
    with pytest.raises(ServiceError, match="Another MSaaS keeps its data in"), Service(service._data):
        pass
    assert requests.get(f"{service.url}/readyz", timeout=10).status_code == 200


def test_a_model_that_can_not_be_loaded_ends_the_start_with_the_reason(tmp_path: Path, model_repo: Path) -> None:
    environment = {"MODEL_NAME": "nonesuch", "MODEL_REPO": str(model_repo)}
    with pytest.raises(ServiceError, match="There is no model 'nonesuch'; choose one of: lite, pair, small"):
        Service(tmp_path, None, environment).__enter__()


def test_the_demo_separates_a_song_of_ones_own_and_says_where_the_stems_are(tmp_path: Path) -> None:
    song = write(tmp_path / "夜.wav", true_waves()["mixture"][:, RATE : 2 * RATE])
    command = [sys.executable, "-m", "local", "demo", "--song", str(song), "--out", str(tmp_path / "stems")]
    done = subprocess.run([*command, "--model", "lite"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    stems = sorted((tmp_path / "stems/lite/夜").iterdir())
    assert [path.name for path in stems] == ["bass.mp3", "drums.mp3", "other.mp3", "vocals.mp3"]
    for path in stems:
        assert str(path) in done.stdout
    assert "lite" in done.stdout


@pytest.mark.parametrize(("name", "content"), [("absent.mp3", None), ("words.mp3", "These are words.")])
def test_the_demo_exits_non_zero_where_the_song_is_no_song(tmp_path: Path, name: str, content: str | None) -> None:
    if content:
        (tmp_path / name).write_text(content)
    command = [sys.executable, "-m", "local", "demo", "--song", str(tmp_path / name), "--out", str(tmp_path / "o")]
    done = subprocess.run([*command, "--model", "lite"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert not list(tmp_path.glob("o/*"))
