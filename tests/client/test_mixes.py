"""Mixes by the client library and by the command `msas mix`, against the real service."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import Service
from msas_client import Client, NotFound, NotReachable, Refused
from msas_client._http import Transport
from msas_client.mixes import save_mix
from tests.support.audio import RATE, decode, true_waves, write
from tests.support.http_answers import answering
from tests.support.processes import environment_with
from tests.support.requests import separate


def msas(service: Service, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "msas"), *map(str, arguments)]
    environment = environment_with(REST=service.address, COLUMNS="200")
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def songhash(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A separated song of three seconds."""
    song = write(tmp_path_factory.mktemp("mixed") / "three.wav", true_waves()["mixture"][:, : 3 * RATE + 11])
    found = separate(client, song)
    yield found
    client.remove(found)


def test_the_client_saves_a_mix_of_a_region(client: Client, songhash: str, tmp_path: Path) -> None:
    path = client.mix(songhash, tmp_path / "new/mix.flac", {"vocals": 0.0, "drums": 0.25}, start=0.5, end=2)

    assert path == tmp_path / "new/mix.flac"
    assert decode(path).shape == (2, RATE * 3 // 2)
    assert [each.name for each in path.parent.iterdir()] == ["mix.flac"]


def test_the_client_refuses_another_format_and_reports_errors(client: Client, songhash: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.mp3, \.flac, \.wav"):
        client.mix(songhash, tmp_path / "mix.ogg")
    with pytest.raises(NotFound, match="piano"):
        client.mix(songhash, tmp_path / "mix.mp3", {"piano": 1.0})
    with pytest.raises(Refused, match="'start' must be before 'end'"):
        client.mix(songhash, tmp_path / "mix.mp3", start=2, end=1)
    assert list(tmp_path.iterdir()) == []


def test_the_command_saves_a_mix(service: Service, songhash: str, tmp_path: Path) -> None:
    out = tmp_path / "quiet.wav"

    done = msas(service, "mix", songhash, "--gain", "vocals=0", "--gain", "bass=0.5", "--start", "1", "-o", out)
    as_json = msas(service, "mix", songhash, "--end", "0.1", "-o", tmp_path / "short.mp3", "--json")

    assert (done.returncode, done.stdout.strip()) == (0, str(out)), done.stderr
    assert decode(out).shape == (2, 2 * RATE + 11)
    assert json.loads(as_json.stdout) == {"hash": songhash, "file": str(tmp_path / "short.mp3")}


@pytest.mark.parametrize(
    "wrong",
    [("--gain", "vocals"), ("--gain", "vocals=x"), ("--gain", "vocals=nan"), ("--start", "-1"), ("-o", "x.ogg")],
)
def test_wrong_usage_of_the_command_is_reported(service: Service, songhash: str, wrong: tuple[str, str]) -> None:
    done = msas(service, "mix", songhash, *wrong)

    assert done.returncode == 2
    assert wrong[1] in done.stderr


def test_a_download_that_breaks_off_begins_again(tmp_path: Path) -> None:
    def answer(number: int) -> tuple[int, dict[str, str], bytes]:
        return 200, {"Content-Length": "10" if number < 2 else "5"}, b"whole"

    with answering(answer) as (url, asked), Transport(url) as transport:
        path = save_mix(transport, "/apiv1/mix/x.mp3", {}, tmp_path / "mix.mp3")

    assert path.read_bytes() == b"whole"
    assert len(asked) == 3


def test_a_download_that_always_breaks_off_is_reported(tmp_path: Path) -> None:
    broken = answering(lambda _: (200, {"Content-Length": "10"}, b"part"))
    with broken as (url, _), Transport(url) as transport, pytest.raises(NotReachable):
        save_mix(transport, "/apiv1/mix/x.mp3", {}, tmp_path / "mix.mp3")

    assert list(tmp_path.iterdir()) == []
