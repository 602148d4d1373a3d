"""The client package and the sample scripts, against the real service."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest

from local import Service
from msas_client import (
    BadSong,
    Busy,
    Client,
    Failed,
    MsasError,
    NotFound,
    NotReachable,
    NotReady,
    Refused,
    Track,
    Unauthorized,
)
from msas_client._http import Transport
from msas_client.downloads import save
from tests.support.audio import RATE, true_waves, write
from tests.support.http_answers import answering
from tests.support.processes import environment_with

ROOT = Path(__file__).parents[2]


@pytest.fixture
def songs(tmp_path: Path) -> list[Path]:
    wave = true_waves()["mixture"]
    return [write(tmp_path / f"song {n}.wav", wave[:, n * RATE : (n + 1) * RATE]) for n in (2, 3)]


def test_a_song_is_separated_and_its_stems_saved_in_three_lines(
    client: Client, songs: list[Path], tmp_path: Path
) -> None:
    seen: list[float] = []
    job = client.separate(
        songs[0], stems=["vocals"], format="flac", wait=True, on_progress=lambda s: seen.append(s.progress)
    )
    [path] = job.download(tmp_path / "out")
    assert path == tmp_path / "out/lite/song 2/vocals.flac"
    assert path.stat().st_size == job.status().tracks[0].bytes
    assert [entry.name for entry in path.parent.iterdir()] == ["vocals.flac"]
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_a_large_song_is_sent_without_being_held_in_memory(service: Service, tmp_path: Path) -> None:
    """Its limit of memory is far below the song's size; that the service refuses a song so large comes afterwards."""
    song = tmp_path / "large.wav"
    with song.open("wb") as file:
        file.truncate(400_000_000)
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_DATA, (300_000_000,) * 2); import msas_client\n"
        "try: msas_client.Client(sys.argv[1]).separate(sys.argv[2])\n"
        "except msas_client.BadSong as error: print(error.code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, service.address, str(song)], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "too_large", done.stderr


def test_errors_share_a_base_class_and_carry_the_apis_code(client: Client, tmp_path: Path) -> None:
    with pytest.raises(NotReachable):
        Client("127.0.0.1:1").queue()
    with pytest.raises(NotFound) as refused:
        client.status("0" * 56)
    assert (refused.value.code, refused.value.status) == ("unknown_song", 404)
    (tmp_path / "words.mp3").write_text("These are words.")
    with pytest.raises(BadSong) as bad:
        client.separate(tmp_path / "words.mp3")
    assert bad.value.code == "not_audio"
    (tmp_path / "empty.mp3").touch()
    with pytest.raises(BadSong) as bad:
        client.separate(tmp_path / "empty.mp3")
    assert bad.value.code == "empty_song"
    assert all(issubclass(kind, Refused) for kind in (Unauthorized, NotFound, NotReady, BadSong, Busy))
    assert all(issubclass(kind, MsasError) for kind in (Refused, Failed, NotReachable))


def test_a_download_of_unready_stems_raises_not_ready(client: Client, tmp_path: Path) -> None:
    song = write(tmp_path / "long.mp3", true_waves()["mixture"].repeat(4, axis=1), codec="libmp3lame")
    job = client.separate(song)
    with pytest.raises(TimeoutError, match="still"):
        job.wait(timeout=0.1)
    with pytest.raises(MsasError, match="wait until it is separated"):
        job.download(tmp_path)
    job.remove()
    with pytest.raises((NotFound, Failed)):
        job.wait(timeout=30)


def test_removing_works_for_a_stem_and_for_a_song(client: Client, songs: list[Path]) -> None:
    job = client.separate(songs[1], wait=True)
    client.remove(job, "bass")
    assert "bass" not in [track.name for track in job.status().tracks]
    job.remove()
    with pytest.raises(Refused):
        job.status()


def test_a_key_is_sent_with_every_call() -> None:
    with answering(lambda _: (200, {}, b'{"queue": []}')) as (url, seen):
        assert Client(url, key="secret").queue() == []
        assert seen[0].headers["Authorization"] == "Bearer secret"


def test_a_busy_service_is_called_again_after_its_retry_after(songs: list[Path]) -> None:
    answers = [(503, {"Retry-After": "7"}, b"{}"), (429, {"Retry-After": "3"}, b"{}"), (200, {}, b'{"hash": "ab"}')]
    pauses: list[float] = []
    with answering(lambda number: answers[number]) as (url, seen):
        transport = Transport(url, sleep=pauses.append)
        with songs[0].open("rb") as file:
            assert transport.call("POST", "/apiv1/separate", data=file).json() == {"hash": "ab"}
        assert [request.body for request in seen] == [songs[0].read_bytes()] * 3, "each time from its beginning"
    assert pauses == [7.0, 3.0]


def test_a_service_that_stays_busy_raises_an_error_with_retry_after() -> None:
    pauses: list[float] = []
    with answering(lambda _: (503, {"Retry-After": "2"}, b'{"code": "queue_full", "detail": "Full."}')) as (url, seen):
        with pytest.raises(Busy, match="Full") as busy:
            Transport(url, sleep=pauses.append).call("GET", "/")
        assert (busy.value.code, busy.value.retry_after, len(seen)) == ("queue_full", 2.0, 5)
    assert pauses == [2.0] * 4


def test_a_retry_after_of_an_hour_is_raised_at_once() -> None:
    with answering(lambda _: (429, {"Retry-After": "3600"}, b"{}")) as (url, seen):
        with pytest.raises(Busy) as busy:
            Client(url).queue()
        assert (busy.value.retry_after, len(seen)) == (3600.0, 1)


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422, 500])
def test_permanent_errors_are_not_retried(status: int) -> None:
    with answering(lambda _: (status, {}, b"no problem of ours")) as (url, seen):
        with pytest.raises(Refused) as refused:
            Client(url).queue()
        assert (refused.value.status, len(seen)) == (status, 1)


def test_a_download_that_broke_off_continues_where_it_broke_off(tmp_path: Path) -> None:
    stem = bytes(range(256)) * 4_000
    track = Track("vocals", "/v.wav", len(stem), 1.0)

    def answer(number: int) -> tuple[int, dict[str, str], bytes]:
        if number == 0:  # half of it, then the connection ends
            return 200, {"ETag": '"one"', "Content-Length": str(len(stem))}, stem[:500_000]
        start = int(seen[number].headers["Range"].removeprefix("bytes=").rstrip("-"))
        return 206, {"ETag": '"one"', "Content-Range": f"bytes {start}-"}, stem[start:]

    with answering(answer) as (url, seen):
        path = save(Transport(url), track, tmp_path / "vocals.wav")
        assert path.read_bytes() == stem
        assert seen[1].headers["If-Range"] == '"one"'
        assert int(seen[1].headers["Range"][6:-1]) > 0
    assert [entry.name for entry in tmp_path.iterdir()] == ["vocals.wav"]


def test_a_stem_that_changed_during_a_download_is_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "vocals.wav.part").write_bytes(b"old")
    (tmp_path / "vocals.wav.part.etag").write_text('"old"')
    with answering(lambda _: (200, {"ETag": '"new"'}, b"all new")) as (url, _):
        assert save(Transport(url), Track("vocals", "/v", 7, 1.0), tmp_path / "vocals.wav").read_bytes() == b"all new"


def test_the_package_stands_alone_and_needs_neither_torch_nor_flask() -> None:
    needed, waiting = set[str](), ["msas-client"]
    while waiting:
        name = waiting.pop()
        for line in requires(name) or []:
            wanted = re.match(r"[\w.-]+", line)
            if wanted and "extra ==" not in line and wanted[0].lower() not in needed:
                needed.add(wanted[0].lower())
                waiting.append(wanted[0])
    assert {"requests", "rich"} <= needed
    assert not needed & {"torch", "flask", "msas", "redis", "minio", "numpy"}


def run_sample(service: Service, script: str, argument: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, script, str(argument)],
        cwd=ROOT / "client",
        env=environment_with(REST=service.address),
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_short_sample_prints_the_hash_and_then_the_queue(service: Service, songs: list[Path]) -> None:
    done = run_sample(service, "short-sample-request.py", songs[0])
    assert done.returncode == 0, done.stderr
    answers = [json.loads(text) for text in re.split(r"(?m)^.* answered 200$", done.stdout)[1:]]
    assert len(answers[0]["hash"]) == 56
    assert not done.stderr
    assert isinstance(answers[1]["queue"], list)


def test_the_longer_sample_sends_a_folder(service: Service, songs: list[Path]) -> None:
    done = run_sample(service, "sample-requests.py", songs[0].parent)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("POST /apiv1/separate answered 200") == 2
    assert done.stdout.count("GET /apiv1/status/") == 2


@pytest.mark.parametrize("script", ["short-sample-request.py", "sample-requests.py"])
def test_the_samples_report_missing_arguments_and_files(service: Service, script: str, tmp_path: Path) -> None:
    done = run_sample(service, script, tmp_path / "absent")
    assert done.returncode == 1
    assert done.stderr.startswith("There ")


def test_a_proxy_setting_is_ignored_for_this_machine(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert Client(service.address).models()[0].name == "lite"
