"""The command `msas`, against the real service."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import requests

from local import Service
from msas.job import compute_songhash
from msas.options import Options
from msas_client import Client
from msas_client.inputs import expand_inputs
from tests.support.audio import RATE, true_waves, write
from tests.support.faultproxy import FaultProxy
from tests.support.http_answers import answering
from tests.support.processes import environment_with, eventually, restore_interrupt

MSAS = str(Path(sys.executable).parent / "msas")
STEMS = ("vocals.mp3", "drums.mp3", "bass.mp3", "other.mp3")


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


def test_separate_saves_several_songs_and_prints_only_their_folders(
    service: Service, songs: list[Path], tmp_path: Path
) -> None:
    done = msas(service, "separate", *songs, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    wanted = {str(tmp_path / f"out/lite/{song.stem}/{stem}") for song in songs for stem in STEMS}
    assert set(done.stdout.splitlines()) == wanted
    assert all(Path(path).stat().st_size for path in wanted)
    assert done.stderr == "", "no bars where nobody looks"


def test_the_flags_of_demucs_mean_the_same(service: Service, songs: list[Path], tmp_path: Path) -> None:
    flags = ("-n", "lite", "--two-stems", "vocals", "--flac", "--shifts", "1", "--overlap", "0.5")
    done = msas(service, "separate", *flags, songs[0], "-o", tmp_path / "o")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "o/lite/song 2"
    assert sorted(path.name for path in folder.iterdir()) == ["no_vocals.flac", "vocals.flac"]
    with Client(service.address) as client:
        same = client.separate(songs[0], "lite", two_stems="vocals", format="flac", shifts=1, overlap=0.5)
        assert same.status().state == "succeeded", "it is the same job"


def test_a_bad_song_is_reported_the_others_continue_and_the_exit_status_is_1(
    service: Service, songs: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "words.mp3").write_text("These are words.")
    done = msas(service, "separate", tmp_path / "words.mp3", tmp_path / "absent.mp3", songs[0], "-o", tmp_path / "out")
    assert done.returncode == 1
    assert "words.mp3: The file is not audio" in done.stderr
    assert f"{tmp_path / 'absent.mp3'}: No such file or directory\n" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stdout.splitlines()) == 4


def test_json_is_one_object_a_song(service: Service, songs: list[Path], tmp_path: Path) -> None:
    (tmp_path / "words.mp3").write_text("These are words.")
    done = msas(service, "separate", "--json", songs[0], tmp_path / "words.mp3", "-o", tmp_path / "out")
    said = {Path(each["song"]).name: each for each in map(json.loads, done.stdout.splitlines())}
    assert said["song 2.wav"]["status"] == "succeeded"
    assert len(said["song 2.wav"]["files"]) == 4
    assert (said["words.mp3"]["status"], said["words.mp3"]["error"]["code"]) == ("failed", "not_audio")
    assert done.returncode == 1


def test_two_songs_of_one_name_do_not_overwrite_each_other(service: Service, songs: list[Path], tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    namesake = tmp_path / "other" / songs[0].name
    namesake.write_bytes(songs[1].read_bytes())
    done = msas(service, "separate", songs[0], namesake, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    folders = sorted(path.name for path in (tmp_path / "out/lite").iterdir())
    assert len(folders) == 2
    assert folders[0] == "song 2"
    assert folders[1].startswith("song 2 ")


def test_an_unwritable_folder_exits_1_and_an_unreachable_service_3(service: Service, songs: list[Path]) -> None:
    done = msas(service, "separate", songs[0], "-o", songs[1])
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "Not a directory" in done.stderr
    for arguments in (["separate", str(songs[0])], ["queue"]):
        done = subprocess.run([MSAS, *arguments, "--rest", "127.0.0.1:1"], capture_output=True, text=True)
        assert done.returncode == 3
        assert "No answer from http://127.0.0.1:1" in done.stderr


def test_ctrl_c_leaves_the_job_running_and_prints_how_to_get_its_stems(service: Service, tmp_path: Path) -> None:
    song = write(tmp_path / "long.mp3", true_waves()["mixture"].repeat(4, axis=1)[:, 777:], codec="libmp3lame")
    proxy = FaultProxy(("127.0.0.1", service.settings.rest_port))
    proxy.lose_reply_to = b"GET /apiv1/status/"
    with closing(proxy), Client(service.address) as client:
        running = subprocess.Popen(
            [MSAS, "separate", str(song), "-o", str(tmp_path / "out"), "--rest", f"127.0.0.1:{proxy.port}"],
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=restore_interrupt,
        )
        with song.open("rb") as file:
            songhash = compute_songhash(file, Options("lite"))
        eventually(
            lambda: requests.get(f"{client.url}/apiv1/status/{songhash}", timeout=5).json()["status"] == "running"
        )
        # The client asks for the status only once it knows the songhash.
        eventually(lambda: proxy.lose_reply_to is None)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
        assert running.returncode == 130
        assert f"msas get {songhash} -o {tmp_path / 'out'}" in said
        assert client.status(songhash).state in ("running", "succeeded")
    done = msas(service, "get", songhash, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4


def test_status_queue_models_and_rm_print_what_the_api_answers(
    service: Service, songs: list[Path], tmp_path: Path
) -> None:
    with Client(service.address) as client:
        songhash = client.separate(songs[0], wait=True).songhash
    assert f"{songhash}  succeeded" in msas(service, "status", songhash).stdout
    assert json.loads(msas(service, "status", "--json", songhash).stdout)["status"] == "succeeded"
    assert "queue" in json.loads(msas(service, "queue", "--json").stdout)
    models = msas(service, "models").stdout
    assert "lite (default): vocals, drums, bass, other" in models
    assert "\n  licence of the weights: MIT\n  weights: 79 MB, in the cache\n" in models
    assert "Removed the stem bass" in msas(service, "rm", songhash, "bass").stdout
    assert msas(service, "rm", songhash).returncode == 0
    gone = msas(service, "get", songhash, "-o", tmp_path)
    assert gone.returncode == 1
    assert "There is no song under that hash" in gone.stderr


def test_the_api_key_comes_from_the_environment_or_the_command_line() -> None:
    with answering(lambda _: (200, {}, b'{"queue": []}')) as (url, seen):
        environment = environment_with(REST=url, MSAS_API_KEY="kept")
        for arguments in (["queue"], ["queue", "--key", "given"]):
            subprocess.run([MSAS, *arguments], env=environment, capture_output=True, timeout=60, check=True)

    assert [request.headers["Authorization"] for request in seen] == ["Bearer kept", "Bearer given"]


@pytest.mark.parametrize("arguments", [[], ["sing"], ["separate"], ["separate", "--pitch", "a.mp3"]])
def test_wrong_usage_exits_with_2(service: Service, arguments: list[str]) -> None:
    assert msas(service, *arguments).returncode == 2


def test_the_help_names_the_exit_statuses_and_every_command(service: Service) -> None:
    done = msas(service, "--help")
    for word in ("separate", "status", "queue", "get", "rm", "models", "130  interrupted"):
        assert word in done.stdout


def test_folders_and_patterns_stand_for_the_songs_in_them(tmp_path: Path) -> None:
    (tmp_path / "album/disc 2").mkdir(parents=True)
    for name in ("album/b.mp3", "album/A.FLAC", "album/cover.jpg", "album/disc 2/c.ogg", "d[1].wav"):
        (tmp_path / name).touch()

    def found(*given: str) -> list[str]:
        return [str(path.relative_to(tmp_path)) for path in expand_inputs(str(tmp_path / name) for name in given)]

    assert found("album") == ["album/A.FLAC", "album/b.mp3", "album/disc 2/c.ogg"]
    assert found("album/*.mp3", "d[1].wav", "album/b.mp3") == ["album/b.mp3", "d[1].wav"]
    assert found("none.mp3") == ["none.mp3"]
