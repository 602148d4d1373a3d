"""All stems of a song as a ZIP, through a real port: whole, in ranges, and resumed."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
import requests

from local import Service
from msas.queue import JobView
from msas.store import Store
from msas_client import Client
from rest.app import create_app
from rest.job_reader import Results
from tests.support.audio import RATE, STEMS, true_waves, write
from tests.support.requests import as_json, new_song, problem, separate


@pytest.fixture(scope="module")
def separated(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The songhash of a separated song, for tests that only read."""
    song = write(tmp_path_factory.mktemp("read") / "a song.wav", true_waves()["mixture"][:, RATE : RATE + 33_334])
    songhash = separate(client, song)
    yield songhash
    client.remove(songhash)


@pytest.fixture
def removable(client: Client, tmp_path: Path) -> Iterator[str]:
    """The songhash of a separated song, for a test that removes parts of it."""
    song = write(tmp_path / "a song.wav", true_waves()["mixture"][:, 2 * RATE : 2 * RATE + 11_112])
    songhash = separate(client, song)
    yield songhash
    client.remove(songhash)


def fetch(service: Service, songhash: str, **headers: str) -> requests.Response:
    """Request the archive of the song with these headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.get(f"{service.url}/apiv1/archive/{songhash}.zip", headers=named, timeout=20)


def unzip(archive: bytes) -> dict[str, bytes]:
    """Return each member's content; fail where one does not have its CRC-32."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def test_an_archive_holds_all_stems_and_announces_its_length(service: Service, separated: str) -> None:
    vocals = requests.get(f"{service.url}/apiv1/track/{separated}/vocals", timeout=10).content

    answer = requests.get(f"{service.url}/apiv1/archive/{separated}.zip", timeout=20)

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/zip"
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert 'filename="a song.zip"' in answer.headers["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [f"a song/{stem}.mp3" for stem in ("vocals", "drums", "bass", "other")]
        assert archive.read("a song/vocals.mp3") == vocals


@pytest.mark.parametrize(
    ("name", "folder"),
    [('Back: "in"? <Black>*|.wav', "Back_ _in__ _Black___"), ("con.wav", "_con"), ("Lpt1.live.wav", "_Lpt1.live")],
)
def test_an_archive_has_a_folder_that_windows_can_make(
    service: Service, client: Client, tmp_path: Path, name: str, folder: str
) -> None:
    body = as_json(new_song(tmp_path, 0.4502 + len(name) / 1000), name=name, stems=["bass"])
    songhash = requests.post(f"{service.url}/apiv1/separate", json=body, timeout=10).json()["hash"]
    client.wait(songhash, timeout=60)

    answer = requests.get(f"{service.url}/apiv1/archive/{songhash}.zip", timeout=20)
    client.remove(songhash)

    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == [f"{folder}/bass.mp3"]


@pytest.mark.parametrize("name", ["0" * 56 + ".zip", "0" * 56, "x.zip", "0" * 56 + ".tar"])
def test_an_unknown_archive_is_answered_with_404(service: Service, name: str) -> None:
    answer = requests.get(f"{service.url}/apiv1/archive/{name}", timeout=10)

    assert problem(answer) == (404, "unknown_song")


def test_an_archive_of_a_separated_song_is_a_zip_only(service: Service, separated: str) -> None:
    answer = requests.get(f"{service.url}/apiv1/archive/{separated}.tar", timeout=10)

    assert problem(answer) == (404, "unknown_song")


def test_a_song_without_stems_has_no_archive(service: Service, removable: str) -> None:
    for stem in ("vocals", "drums", "bass", "other"):
        requests.delete(f"{service.url}/apiv1/remove/{removable}/{stem}", timeout=10).raise_for_status()

    answer = requests.get(f"{service.url}/apiv1/archive/{removable}.zip", timeout=10)

    assert problem(answer) == (404, "unknown_stem")


def test_the_members_of_an_archive_are_dated_when_the_job_ended(service: Service, separated: str) -> None:
    status = requests.get(f"{service.url}/apiv1/status/{separated}", timeout=10).json()
    ended_at = datetime.fromisoformat(status["ended_at"])

    answer = fetch(service, separated)

    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        dates = {info.date_time for info in archive.infolist()}
    even = ended_at.replace(second=ended_at.second // 2 * 2)
    assert dates == {(even.year, even.month, even.day, even.hour, even.minute, even.second)}


@pytest.mark.parametrize("pieces", [2, 7, 40])
def test_ranges_of_an_archive_glued_together_are_the_archive(service: Service, separated: str, pieces: int) -> None:
    whole = fetch(service, separated).content
    length = len(whole) // pieces + 1

    answers = [fetch(service, separated, Range=f"bytes={at}-{at + length - 1}") for at in range(0, len(whole), length)]

    assert {answer.status_code for answer in answers} == {206}
    assert [int(answer.headers["Content-Length"]) for answer in answers] == [len(each.content) for each in answers]
    glued = b"".join(answer.content for answer in answers)
    assert glued == whole
    assert len(unzip(glued)) == len(STEMS)


def test_the_end_of_an_archive_is_a_range(service: Service, separated: str) -> None:
    whole = fetch(service, separated).content

    answer = fetch(service, separated, Range="bytes=-100")

    assert answer.content == whole[-100:]
    assert answer.headers["Content-Range"] == f"bytes {len(whole) - 100}-{len(whole) - 1}/{len(whole)}"


def test_a_range_beyond_an_archive_is_refused_with_the_archives_size(service: Service, separated: str) -> None:
    size = len(fetch(service, separated).content)

    answer = fetch(service, separated, Range=f"bytes={size}-")

    assert problem(answer) == (416, "bad_range")
    assert answer.headers["Content-Range"] == f"bytes */{size}"


def test_a_range_of_an_archive_opens_only_the_stems_that_it_touches(service: Service, removable: str) -> None:
    whole = fetch(service, removable).content
    Store.from_settings(service.settings).remove_stem(removable, "vocals", "mp3")
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        start = archive.getinfo("a song/drums.mp3").header_offset

    answer = fetch(service, removable, Range=f"bytes={start}-")

    assert answer.status_code == 206
    assert answer.content == whole[start:]


def test_head_sends_the_headers_of_an_archive_and_no_bytes(service: Service, separated: str) -> None:
    names = ("Content-Length", "Content-Type", "ETag", "Accept-Ranges", "Content-Disposition")
    get = fetch(service, separated)

    head = requests.head(f"{service.url}/apiv1/archive/{separated}.zip", timeout=10)

    assert head.status_code == 200
    assert head.content == b""
    assert {name: head.headers[name] for name in names} == {name: get.headers[name] for name in names}


def test_an_archive_that_the_caller_has_is_not_sent_again(service: Service, separated: str) -> None:
    etag = fetch(service, separated).headers["ETag"]

    answer = fetch(service, separated, If_None_Match=etag)

    assert answer.status_code == 304
    assert answer.content == b""


def test_a_download_of_an_archive_resumes_until_a_stem_is_removed(service: Service, removable: str) -> None:
    before = fetch(service, removable)
    resume = {"Range": "bytes=1000-", "If_Range": before.headers["ETag"]}

    resumed = fetch(service, removable, **resume)
    requests.delete(f"{service.url}/apiv1/remove/{removable}/bass", timeout=10).raise_for_status()
    begun_anew = fetch(service, removable, **resume)

    assert resumed.status_code == 206
    assert before.content[:1000] + resumed.content == before.content
    assert begun_anew.status_code == 200
    assert begun_anew.headers["ETag"] != before.headers["ETag"]
    assert list(unzip(begun_anew.content)) == [f"a song/{stem}.mp3" for stem in ("vocals", "drums", "other")]


def test_an_archive_of_a_song_that_an_earlier_version_separated_has_the_same_bytes(
    service: Service, separated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = fetch(service, separated)
    without_crc32(monkeypatch)

    answer = create_app(service.settings).test_client().get(f"/apiv1/archive/{separated}.zip")

    assert answer.data == ours.content
    assert answer.headers["ETag"] == ours.headers["ETag"]


def test_an_archive_of_an_earlier_versions_song_that_lost_a_stem_is_answered_with_404(
    service: Service, removable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Store.from_settings(service.settings).remove_stem(removable, "vocals", "mp3")
    without_crc32(monkeypatch)

    answer = create_app(service.settings).test_client().get(f"/apiv1/archive/{removable}.zip")

    assert answer.status_code == 404
    assert answer.get_json()["code"] == "unknown_stem"


def without_crc32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let reports be as version 0.1.0 wrote them."""
    find_job = Results.job

    def of_earlier_version(results: Results, songhash: str) -> JobView | None:
        job = find_job(results, songhash)
        assert job
        assert job.report
        stems = tuple(replace(stem, crc32=None) for stem in job.report.stems)
        return replace(job, report=replace(job.report, stems=stems))

    monkeypatch.setattr(Results, "job", of_earlier_version)
