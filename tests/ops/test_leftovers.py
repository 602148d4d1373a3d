"""Objects that no report names: of attempts that ended without one, and of separations that a later one replaced."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import Service
from msas.options import Options
from tests.support.processes import eventually
from tests.support.reconcile import reconcile
from tests.support.rig import Rig, new_song

TAG = "0123456789abcdef"


@pytest.fixture(scope="module")
def rig(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder: Path = tmp_path_factory.mktemp("leftovers") / "rig"
    with Rig(folder, service.settings, reconcile_seconds=3600.0) as running:
        running.ready(running.worker())
        yield running


def compare(rig: Rig, hours_later: int = 0) -> None:
    """Compare Redis with the store, now or as if what lies there had lain there for an hour."""
    reconcile(rig.queue, rig.store, grace_seconds=-5 if hours_later else 3600)  # the store's clock counts whole seconds


def separated_twice(rig: Rig) -> str:
    """Separate a song, remove a stem of it, and separate it again; return its songhash."""
    content, options = new_song(), Options("marked", format="wav")
    song = rig.accept_content(content, options)
    rig.finish([song])
    status = rig.job(song)
    assert rig.queue.note_stem_removed(status) == 1
    assert status.report
    rig.store.delete_stem(status.report, "drums")
    rig.accept_content(content, options)
    rig.finish([song])
    return song


def test_a_stem_of_a_replaced_separation_is_downloaded_to_its_end(rig: Rig) -> None:
    content, options = new_song(), Options("marked", format="wav")
    song = rig.accept_content(content, options)
    rig.finish([song])
    status = rig.job(song)
    download = rig.store.open_stem(song, "vocals", "wav")
    begin = rig.store.open_stem(song, "vocals", "wav", 0, 1000)
    assert rig.queue.note_stem_removed(status) == 1
    assert status.report
    rig.store.delete_stem(status.report, "drums")

    rig.accept_content(content, options)
    rig.finish([song])
    rest = rig.store.open_stem(song, "vocals", "wav", 1000)

    digest = status.tracks[0].sha256
    assert hashlib.sha256(b"".join(download)).hexdigest() == digest
    assert hashlib.sha256(b"".join(begin) + b"".join(rest)).hexdigest() == digest, "a resumed download is not mixed"


def test_a_second_separation_replaces_the_report_and_no_object(rig: Rig) -> None:
    song = separated_twice(rig)

    tag = rig.job(song).tag

    assert tag
    assert f"{song}-vocals.wav" in rig.objects(song)
    assert f"{song}-{tag}-vocals.wav" in rig.objects(song)
    compare(rig)
    assert f"{song}-vocals.wav" in rig.objects(song), "kept for an hour"


def test_what_a_second_separation_replaced_is_removed_after_an_hour(rig: Rig) -> None:
    song = separated_twice(rig)

    compare(rig, hours_later=1)

    rig.check([song])
    tag = rig.job(song).tag
    outputs = {key for key in rig.objects(song) if key.startswith(f"{song}-")}
    assert outputs == {f"{song}-report.json"} | {key for key in outputs if key.startswith(f"{song}-{tag}-")}


def test_what_an_attempt_left_without_a_report_is_removed_after_an_hour(rig: Rig) -> None:
    [song, other] = rig.accept(count=2)
    rig.finish([song, other])
    rig.store.put_stem(song, "drums", "wav", io.BytesIO(b"-"), TAG)
    lost = "5" * 56
    rig.store.put_stem(lost, "drums", "wav", io.BytesIO(b"-"))

    compare(rig, hours_later=1)

    rig.check([song, other])
    assert f"{song}-{TAG}-drums.wav" not in rig.objects(song)
    assert rig.objects(lost) == []


def test_what_a_running_attempt_has_stored_is_kept(rig: Rig) -> None:
    [song] = rig.accept("sleep-2")
    eventually(lambda: rig.running(song, "separating"))
    rig.store.put_stem(song, "drums", "wav", io.BytesIO(b"-"), TAG)

    compare(rig, hours_later=1)

    assert rig.running(song)
    assert f"{song}-{TAG}-drums.wav" in rig.objects(song)
    rig.finish([song])


def test_an_attempt_that_failed_leaves_the_plain_names_to_the_next(rig: Rig) -> None:
    [song] = rig.accept("raise-1")
    rig.reclaim_until(lambda: rig.over([song]))

    rig.check([song])
    assert rig.job(song).attempt == 2
    assert rig.job(song).tag == ""
    assert f"{song}-first" not in rig.objects(song)


def test_a_song_of_an_earlier_version_is_served_and_separated_again_beside_what_lies_there(rig: Rig) -> None:
    song = "6" * 56
    rig.store.put_stem(song, "drums", "wav", io.BytesIO(b"of a worker that died"))

    attempt = rig.store.begin_attempt(song)

    assert attempt.tag, "the plain names are taken"
    assert rig.objects(song) == [f"{song}-drums.wav"]
    rig.store.remove_song(song)
