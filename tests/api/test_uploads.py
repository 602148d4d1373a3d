"""The three kinds of body: none of them costs memory, none leaves a file behind."""

from __future__ import annotations

import base64
import io
import json
import re
import socket
import struct
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from local import Service
from msas.job import compute_songhash
from msas.options import Options
from msas.store import Store
from tests.support.another_rest import rest_with_own_queue
from tests.support.processes import eventually
from tests.support.requests import new_song, problem
from tests.support.rest_process import open_temporary_files, peak_mb

Post = Callable[..., requests.Response]
OPTIONS = {"stems": "vocals,drums", "format": "wav", "bit_depth": "24", "name": "a söng.wav"}


def test_json_a_form_and_a_bare_body_with_the_same_options_are_the_same_job(
    service: Service, post: Post, tmp_path: Path
) -> None:
    song = new_song(tmp_path, 0.401)
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
    hashes = {answer.json()["hash"] for answer in answers}
    assert len(hashes) == 1
    status = requests.get(f"{service.url}/apiv1/status/{hashes.pop()}", timeout=10).json()
    assert status["name"] == "a söng.wav"
    assert status["options"]["stems"] == ["vocals", "drums"]
    assert status["seconds"] == pytest.approx(0.4, abs=0.01)


def test_stems_may_be_named_one_by_one_in_a_form_and_a_query(post: Post, tmp_path: Path) -> None:
    song = new_song(tmp_path, 0.402)
    fields = [("stems", "vocals"), ("stems", "bass")]

    in_form = post(files={"file": ("x.wav", song)}, data=fields)
    in_query = post(data=song, params=fields, headers={"Content-Type": "audio/wav"})

    assert in_form.json()["hash"] == in_query.json()["hash"]


def test_a_callback_in_a_form_is_json(post: Post, tmp_path: Path) -> None:
    song = new_song(tmp_path, 0.403)
    callback = {"callback": '{"url": "http://localhost:1/", "data": {"a": 1}}'}

    assert post(files={"file": ("x.wav", song)}, data=callback).status_code == 200


@pytest.mark.parametrize("callback", ["{", '{"url": "ftp://x"}', "http://x"])
def test_a_callback_in_a_form_that_is_no_json_object_with_a_url_is_refused(
    post: Post, tmp_path: Path, callback: str
) -> None:
    song = new_song(tmp_path, 0.403)

    assert problem(post(files={"file": ("x.wav", song)}, data={"callback": callback})) == (422, "bad_option")


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


def bare_body(song: bytes) -> tuple[str, bytes]:
    """Return the media type and the body that is nothing but the song."""
    return "audio/wav", song


def json_body(song: bytes) -> tuple[str, bytes]:
    """Return the media type and the body that has the song in JSON."""
    return "application/json", json.dumps({"mp3": base64.b64encode(song).decode()}).encode()


def form_body(song: bytes) -> tuple[str, bytes]:
    """Return the media type and the body that has the song in a form."""
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="x.wav"\r\n\r\n'
    return "multipart/form-data; boundary=x", head + song + b"\r\n--x--\r\n"


@pytest.mark.parametrize("make_body", [bare_body, json_body, form_body])
def test_a_body_one_byte_shorter_than_announced_is_refused_and_its_song_is_not_stored(
    service: Service, tmp_path: Path, make_body: Callable[[bytes], tuple[str, bytes]]
) -> None:
    """The song itself is whole, so that it could be separated."""
    song = new_song(tmp_path, 0.404)
    kind, body = make_body(song)
    head = (
        f"POST /apiv1/separate HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body) + 1}\r\n\r\n"
    )

    with socket.create_connection((service.settings.rest_host, service.settings.rest_port), timeout=60) as connection:
        connection.sendall(head.encode() + body)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as answer:
            text = answer.read().decode()

    assert text.startswith("HTTP/1.1 400 ")
    assert "broke off after" in text
    identity = compute_songhash(io.BytesIO(song), Options(model="lite"))
    assert problem(requests.get(f"{service.url}/apiv1/status/{identity}", timeout=10)) == (404, "unknown_song")
    assert not list(Store.from_settings(service.settings).minio.list_objects("queue", prefix=identity))


@pytest.mark.parametrize("make_body", [bare_body, json_body, form_body])
def test_a_song_over_the_limit_is_refused_and_the_sender_sees_the_answer(
    post: Post, make_body: Callable[[bytes], tuple[str, bytes]]
) -> None:
    kind, body = make_body(bytes(21_000_000))

    answer = post(data=body, headers={"Content-Type": kind})

    assert problem(answer) == (413, "too_large")
    assert "20 MB" in answer.json()["detail"]


@pytest.mark.parametrize("make_body", [bare_body, json_body, form_body])
def test_a_song_of_exactly_the_limit_is_accepted(post: Post, make_body: Callable[[bytes], tuple[str, bytes]]) -> None:
    """The zeros are no song, which shows once they are read."""
    kind, body = make_body(bytes(20_000_000))

    answer = post(data=body, headers={"Content-Type": kind})

    assert problem(answer) == (415, "not_audio")


SIZE = 100_000_000


@pytest.fixture(scope="module")
def large(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The URL and the folder of a REST that takes songs of 200 MB, and that no worker serves."""
    folder = tmp_path_factory.mktemp("large")
    with rest_with_own_queue(service, folder, MAX_UPLOAD_MB="200") as (url, _):
        yield url, folder


def bare_song(folder: Path) -> tuple[str, Iterator[bytes]]:
    """Return the media type and the pieces of a WAV of `SIZE` bytes of silence."""
    song = folder / "long.wav"
    with wave.open(str(song), "wb") as writing:
        writing.setparams((2, 2, 44_100, 0, "NONE", ""))
        writing.writeframes(b"")
    head = bytearray(song.read_bytes())
    for at, claimed in ((4, 36 + SIZE), (40, SIZE)):
        head[at : at + 4] = struct.pack("<I", claimed)
    return "audio/wav", iter((bytes(head), *[bytes(1_000_000)] * (SIZE // 1_000_000)))


def zeros_in_json(_: Path) -> tuple[str, Iterator[bytes]]:
    """Return the media type and the pieces of a JSON body with `SIZE` zeros, which are no song."""
    zeros = base64.b64encode(bytes(3_000_000))
    return "application/json", iter((b'{"mp3": "', *[zeros] * (SIZE // 3_000_000), b'"}'))


def zeros_in_form(_: Path) -> tuple[str, Iterator[bytes]]:
    """Return the media type and the pieces of a form with `SIZE` zeros, which are no song."""
    boundary = b'--x\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
    parts = (boundary, *[bytes(1_000_000)] * (SIZE // 1_000_000), b"\r\n--x--\r\n")
    return "multipart/form-data; boundary=x", iter(parts)


@pytest.mark.parametrize(
    ("make_body", "status"),
    [(bare_song, 200), (zeros_in_json, 415), (zeros_in_form, 415)],
    ids=["bare", "json", "form"],
)
def test_a_body_of_100_mb_costs_rest_less_than_64_mb_of_memory_and_leaves_no_file_open(
    large: tuple[str, Path],
    tmp_path: Path,
    make_body: Callable[[Path], tuple[str, Iterator[bytes]]],
    status: int,
) -> None:
    url, folder = large
    before = peak_mb(folder)
    kind, body = make_body(tmp_path)

    answer = requests.post(f"{url}/apiv1/separate", data=body, headers={"Content-Type": kind}, timeout=300)
    if answer.ok:
        requests.delete(f"{url}/apiv1/remove/{answer.json()['hash']}", timeout=60)

    assert answer.status_code == status, answer.text
    assert peak_mb(folder) - before < 64
    assert not open_temporary_files(folder)


def test_a_requests_id_follows_the_song_into_the_workers_log(service: Service, post: Post, tmp_path: Path) -> None:
    headers = {"Content-Type": "audio/wav", "X-Request-Id": "my-id.1"}

    answer = post(data=new_song(tmp_path, 0.407), headers=headers)

    assert answer.headers["X-Request-Id"] == "my-id.1"
    log = service.children["worker"].log
    eventually(lambda: any('"my-id.1"' in line and "job succeeded" in line for line in log.read_text().splitlines()))


@pytest.mark.parametrize("given", ["a b<script>", "x" * 65, ""])
def test_a_requests_id_that_could_do_harm_is_replaced(service: Service, given: str) -> None:
    answer = requests.get(f"{service.url}/healthz", headers={"X-Request-Id": given}, timeout=10)

    assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["X-Request-Id"])


def received_bytes(service: Service) -> float:
    text = requests.get(f"{service.url}/metrics", timeout=30).text
    [line] = [line for line in text.splitlines() if line.startswith("msas_received_bytes_total ")]
    return float(line.split()[1])


def test_received_bytes_are_those_that_came_not_those_announced(service: Service, post: Post, tmp_path: Path) -> None:
    before = received_bytes(service)
    with socket.create_connection((service.settings.rest_host, service.settings.rest_port), 30) as caller:
        caller.sendall(b"POST /apiv1/separate HTTP/1.1\r\nHost: x\r\nContent-Type: audio/wav\r\n")
        caller.sendall(b"Content-Length: 1000000000000000\r\n\r\n")
        assert caller.recv(100).startswith(b"HTTP/1.1 413 ")
    song = new_song(tmp_path, 0.4071)

    post(data=iter([song]), headers={"Content-Type": "audio/wav"})  # in chunks, which announce nothing

    assert received_bytes(service) - before == len(song)
