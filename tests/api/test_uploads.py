"""The three kinds of body: none of them costs memory, none leaves a file behind."""

from __future__ import annotations

import base64
import json
import re
import socket
import struct
import wave
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from local import Service
from msas_client import Client
from tests.support.another_rest import another_rest
from tests.support.audio import RATE, true_waves, write
from tests.support.processes import eventually
from tests.support.requests import problem
from tests.support.rest_process import open_temporary_files, rest_pids

Post = Callable[..., requests.Response]
OPTIONS = {"stems": "vocals,drums", "format": "wav", "bit_depth": "24", "name": "a söng.wav"}


def new_song(folder: Path, start: float) -> bytes:
    """Return a second of song that no other test sends."""
    samples = true_waves()["mixture"][:, int(start * RATE) : int((start + 0.4) * RATE)]
    return write(folder / "new.wav", samples).read_bytes()


def test_json_a_form_and_bare_bytes_with_the_same_options_are_the_same_job(post: Post, tmp_path: Path) -> None:
    song = new_song(tmp_path, 4.01)
    in_json = {**OPTIONS, "stems": ["vocals", "drums"], "bit_depth": 24, "mp3": base64.b64encode(song).decode()}
    answers = [
        post(json=in_json),
        post(files={"file": ("a söng.wav", song)}, data=OPTIONS),
        post(data=song, params=OPTIONS, headers={"Content-Type": "audio/wav"}),
        post(data=iter([song[:1000], song[1000:]]), params=OPTIONS, headers={"Content-Type": "audio/wav"}),  # chunked
        post(data=song, params=OPTIONS, headers={"Content-Type": "application/octet-stream"}),
        post(data=json.dumps(in_json), headers={"Content-Type": "application/x-www-form-urlencoded"}),  # curl -d
    ]
    assert [answer.status_code for answer in answers] == [200] * 6, [answer.text for answer in answers]
    assert len({answer.json()["hash"] for answer in answers}) == 1
    status = requests.get(answers[0].url.replace("separate", f"status/{answers[0].json()['hash']}"), timeout=10).json()
    assert status["name"] == "a söng.wav"
    assert status["options"]["stems"] == ["vocals", "drums"]
    assert status["seconds"] == pytest.approx(0.4, abs=0.01)


def test_stems_may_be_named_one_by_one_in_a_form_and_a_query(post: Post, tmp_path: Path) -> None:
    song = new_song(tmp_path, 4.02)
    fields = [("stems", "vocals"), ("stems", "bass")]
    in_form = post(files={"file": ("x.wav", song)}, data=fields)
    in_query = post(data=song, params=fields, headers={"Content-Type": "audio/wav"})
    assert in_form.json()["hash"] == in_query.json()["hash"]


def test_a_form_carries_a_callback_as_json(post: Post, tmp_path: Path) -> None:
    song = new_song(tmp_path, 4.03)
    good = {"callback": '{"url": "http://localhost:1/", "data": {"a": 1}}'}
    assert post(files={"file": ("x.wav", song)}, data=good).status_code == 200
    for bad in ("{", '{"url": "ftp://x"}', "http://x"):
        assert problem(post(files={"file": ("x.wav", song)}, data={"callback": bad})) == (422, "bad_option")


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"song": ("x.wav", b"RIFF")}, "missing_song"),
        ([("file", ("x.wav", b"RIFF")), ("file", ("y.wav", b"RIFF"))], "missing_song"),
        ({"file": ("x.wav", b"")}, "empty_song"),
        ({"file": ("x.wav", b"These are words.")}, "not_audio"),
    ],
)
def test_a_form_must_hold_one_song(post: Post, files: object, code: str) -> None:
    answer = post(files=files)
    assert problem(answer)[1] == code


@pytest.mark.parametrize("kind", ["application/xml", "text/html", "image/png", "application/gzip"])
def test_a_body_of_a_kind_that_no_song_has_is_refused(post: Post, kind: str) -> None:
    answer = post(data=b"<mp3/>", headers={"Content-Type": kind})
    assert problem(answer) == (415, "unknown_body")
    assert kind in answer.json()["detail"]


def test_a_compressed_body_is_refused_and_never_inflated(post: Post) -> None:
    answer = post(data=b"\x1f\x8b" + bytes(100), headers={"Content-Encoding": "gzip", "Content-Type": "audio/wav"})
    assert problem(answer) == (415, "unknown_body")


@pytest.mark.parametrize("kind", ["audio/wav", "application/json", "multipart/form-data; boundary=x"])
def test_a_body_that_breaks_off_is_refused_and_nothing_is_stored(
    service: Service, client: Client, tmp_path: Path, kind: str
) -> None:
    song, before = new_song(tmp_path, 4.04), set(client.queue())
    address = (service.settings.rest_host, service.settings.rest_port)
    head = (
        f"POST /apiv1/separate HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(song) + 1}\r\n\r\n"
    )
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(head.encode() + song)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.makefile("rb").read().decode()
    assert answer.startswith("HTTP/1.1 400 ")
    assert "broke off after" in answer
    assert set(client.queue()) <= before


@pytest.mark.parametrize("way", ["json", "form", "bare"])
def test_a_song_over_the_limit_is_refused_either_way_and_the_sender_sees_the_answer(post: Post, way: str) -> None:
    song = bytes(21_000_000)
    if way == "json":
        answer = post(json={"mp3": base64.b64encode(song).decode()})
    elif way == "form":
        answer = post(files={"file": ("x.wav", song)})
    else:
        answer = post(data=song, headers={"Content-Type": "audio/wav"})
    assert problem(answer) == (413, "too_large")
    assert "20 MB" in answer.json()["detail"]


def test_a_wav_of_150_mb_costs_rest_less_than_64_mb_of_memory_in_each_kind_of_body(
    service: Service, tmp_path: Path
) -> None:
    """The bare body is a song and is stored; the other two are no audio, which shows once they are in."""
    size = 150_000_000
    song = tmp_path / "long.wav"
    with wave.open(str(song), "wb") as writing:
        writing.setparams((2, 2, 44_100, 0, "NONE", ""))
        writing.writeframes(b"")
    with song.open("r+b") as file:
        file.truncate(44 + size)
        for at, claimed in ((4, 36 + size), (40, size)):
            file.seek(at)
            file.write(struct.pack("<I", claimed))
    with another_rest(service, tmp_path, MAX_UPLOAD_MB="200") as url:
        before = peak_mb(tmp_path)
        with song.open("rb") as file:
            bare = requests.post(f"{url}/apiv1/separate", data=file, headers={"Content-Type": "audio/wav"}, timeout=120)
        assert bare.status_code == 200, bare.text
        requests.delete(f"{url}/apiv1/remove/{bare.json()['hash']}", timeout=30)
        zeros = base64.b64encode(bytes(3_000_000))
        body = (b'{"mp3": "', *[zeros] * (size // 3_000_000), b'"}')
        in_json = requests.post(
            f"{url}/apiv1/separate", data=iter(body), headers={"Content-Type": "application/json"}, timeout=120
        )
        assert problem(in_json) == (415, "not_audio")
        boundary = b'--x\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
        parts = (boundary, *[bytes(1_000_000)] * (size // 1_000_000), b"\r\n--x--\r\n")
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        in_form = requests.post(f"{url}/apiv1/separate", data=iter(parts), headers=headers, timeout=120)
        assert problem(in_form) == (415, "not_audio")
        assert peak_mb(tmp_path) - before < 64
        assert not open_temporary_files(tmp_path)


def peak_mb(folder: Path) -> float:
    """Return the most memory that any process of the REST in `folder` ever had resident."""
    peaks = [
        int(found[1])
        for pid in rest_pids(folder)
        if (found := re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text()))
    ]
    return max(peaks) / 1000


def test_the_requests_id_follows_the_song_into_the_workers_log(service: Service, tmp_path: Path) -> None:
    headers = {"Content-Type": "audio/wav", "X-Request-Id": "my-id.1"}
    answer = requests.post(f"{service.url}/apiv1/separate", data=new_song(tmp_path, 4.07), headers=headers, timeout=20)
    assert answer.headers["X-Request-Id"] == "my-id.1"
    log = service.children["worker"].log
    eventually(lambda: any('"my-id.1"' in line and "job succeeded" in line for line in log.read_text().splitlines()))
    odd = requests.get(f"{service.url}/healthz", headers={"X-Request-Id": "a b<script>"}, timeout=10)
    assert re.fullmatch(r"[0-9a-f]{16}", odd.headers["X-Request-Id"])
