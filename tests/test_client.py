"""The client package, the command `msas`, and the sample scripts, against the real service."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from local import Service
from msas_client import Client, Failed, MsasError, NotReachable, Refused
from tests.audio import RATE, true_waves, write
from tests.conftest import environment_with

ROOT = Path(__file__).parent.parent
MSAS = str(Path(sys.executable).parent / "msas")


@pytest.fixture
def songs(tmp_path: Path) -> list[Path]:
    wave = true_waves()["mixture"]
    return [write(tmp_path / f"song {n}.wav", wave[:, n * RATE : (n + 1) * RATE]) for n in (2, 3)]


def msas(service: Service, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [MSAS, *map(str, arguments)],
        env=environment_with(REST=service.address, COLUMNS="200"),
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_command_separates_several_songs_and_prints_their_stems(
    service: Service, songs: list[Path], tmp_path: Path
) -> None:
    done = msas(service, "separate", *songs, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    stems = sorted((tmp_path / "out").iterdir())
    assert len(stems) == 8
    assert all(str(path) in done.stdout for path in stems)
    assert "song 2.wav" in done.stdout
    assert "100 %" in done.stdout


def test_the_command_goes_on_where_one_song_is_bad_says_so_and_exits_non_zero(
    service: Service, songs: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "words.mp3").write_text("These are words.")
    done = msas(service, "separate", tmp_path / "words.mp3", tmp_path / "absent.mp3", songs[0], "-o", tmp_path / "out")
    assert done.returncode == 1
    assert "words.mp3: The file is not audio" in done.stderr
    assert "absent.mp3: No such file or directory" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(list((tmp_path / "out").iterdir())) == 4


def test_the_command_says_that_it_can_not_write(service: Service, songs: list[Path]) -> None:
    done = msas(service, "separate", songs[0], "-o", songs[1])
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "File exists" in done.stderr


def test_the_command_says_that_nobody_answers(songs: list[Path]) -> None:
    done = subprocess.run([MSAS, "separate", str(songs[0]), "--rest", "127.0.0.1:1"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "No answer from http://127.0.0.1:1" in done.stderr


def test_a_download_that_is_there_is_whole(client: Client, songs: list[Path], tmp_path: Path) -> None:
    songhash = client.separate(songs[0])
    status = client.wait(songhash, timeout=60)
    [vocals] = client.download(songhash, tmp_path / "one", stem="vocals")
    assert vocals.stat().st_size == next(track.bytes for track in status.tracks if track.name == "vocals")
    assert [path.name for path in (tmp_path / "one").iterdir()] == [f"{songhash}-vocals.mp3"]


def test_errors_are_of_one_tree_and_carry_the_services_code(client: Client, tmp_path: Path) -> None:
    with pytest.raises(NotReachable):
        Client("127.0.0.1:1").queue()
    with pytest.raises(Refused) as refused:
        client.status("0" * 56)
    assert (refused.value.code, refused.value.status) == ("unknown_song", 404)
    header_only = write(tmp_path / "nothing.wav", true_waves()["mixture"][:, :1]).read_bytes()[:-8]
    (tmp_path / "nothing.wav").write_bytes(header_only)
    songhash = client.separate(tmp_path / "nothing.wav")
    with pytest.raises(Failed) as failed:
        client.wait(songhash, timeout=60)
    assert failed.value.code == "too_short"
    with pytest.raises(MsasError):
        client.download(songhash, tmp_path)


def test_waiting_can_be_limited(client: Client, tmp_path: Path) -> None:
    song = write(tmp_path / "long.mp3", true_waves()["mixture"].repeat(4, axis=1), codec="libmp3lame")
    songhash = client.separate(song)
    with pytest.raises(TimeoutError, match="still"):
        client.wait(songhash, timeout=0.1)
    client.wait(songhash, timeout=60)


def test_removing_works_for_a_stem_and_for_a_song(client: Client, songs: list[Path]) -> None:
    songhash = client.separate(songs[1])
    client.wait(songhash, timeout=60)
    client.remove(songhash, "bass")
    assert "bass" not in [track.name for track in client.status(songhash).tracks]
    client.remove(songhash)
    with pytest.raises(Refused):
        client.status(songhash)


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
def test_the_samples_say_what_is_missing(service: Service, script: str, tmp_path: Path) -> None:
    done = run_sample(service, script, tmp_path / "absent")
    assert done.returncode == 1
    assert done.stderr.startswith("There ")


def test_a_proxy_for_the_outside_does_not_stand_in_the_way_of_this_machine(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert Client(service.address).models()["default"] == "lite"
