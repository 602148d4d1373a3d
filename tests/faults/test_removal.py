"""Faults of removals that meet: two stems, a stem and its song, a stem and the song's next separation. FAULTS.md."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product

import pytest
import requests

from msas.job import Status
from tests.support.fake_engine import STEMS
from tests.support.processes import eventually
from tests.support.reconcile import reconcile
from tests.support.rig import Rig, new_song


def post(rig: Rig, content: bytes | None = None, **fields: str) -> str:
    """Send REST a song, a new one where none is given; return its songhash."""
    return str(rig.posted(content, **fields).json()["hash"])


def stays_gone(rig: Rig, song: str) -> bool:
    """Say whether nothing is left of the song, and a reconciler finds nothing to bring back."""
    reconcile(rig.queue, rig.store)
    return rig.queue.job(song) is None and not rig.objects(song)


@pytest.fixture
def finished(rest_rig: Rig) -> str:
    """A song that was separated, under its songhash."""
    rest_rig.worker()
    songhash = post(rest_rig)
    rest_rig.finish([songhash])
    return songhash


def removed_at_once(rig: Rig, *paths: str) -> list[int]:
    """Send REST these removals at the same moment; return the statuses of its answers."""
    with ThreadPoolExecutor(len(paths)) as threads:
        urls = [f"{rig.url}/apiv1/remove/{path}" for path in paths]
        return list(threads.map(lambda url: requests.delete(url, timeout=60).status_code, urls))


def test_stems_that_are_removed_at_once_are_all_gone_and_the_others_are_served(rest_rig: Rig) -> None:
    """Fault 67."""
    rest_rig.worker()
    songs = [post(rest_rig) for _ in range(4)]
    rest_rig.finish(songs)

    answers = removed_at_once(rest_rig, *("/".join(pair) for pair in product(songs, STEMS[:3])))

    assert set(answers) == {200}
    rest_rig.check(songs)
    for song in songs:
        status, report = rest_rig.job(song), rest_rig.store.report(song)
        assert [track.name for track in status.tracks] == ["other"]
        assert report
        assert ([stem.name for stem in report.stems], report.removed) == (["other"], tuple(sorted(STEMS[:3])))
        assert not [name for name in rest_rig.objects(song) for stem in STEMS[:3] if stem in name]


def test_a_song_whose_stems_were_removed_at_once_is_published_again_after_redis_lost_it(
    rest_rig: Rig, finished: str
) -> None:
    """Fault 67."""
    removed_at_once(rest_rig, *(f"{finished}/{stem}" for stem in STEMS[:2]))

    found = rest_rig.store.published(finished)

    assert found, "the report names only what is there"
    rest_rig.queue.redis.flushall()
    assert rest_rig.queue.restore_result(finished, 1)
    assert {track.name for track in rest_rig.job(finished).tracks} == set(STEMS[2:])


def test_a_stem_removed_twice_at_once_is_gone_and_both_removals_are_answered(rest_rig: Rig, finished: str) -> None:
    """Fault 67."""
    answers = removed_at_once(rest_rig, *[f"{finished}/vocals"] * 4)

    assert set(answers) <= {200, 404}
    assert 200 in answers
    rest_rig.check([finished])
    assert {track.name for track in rest_rig.job(finished).tracks} == set(STEMS[1:])


def test_a_song_removed_at_once_with_its_stems_is_gone(rest_rig: Rig) -> None:
    """Fault 68."""
    rest_rig.worker()
    songs = [post(rest_rig) for _ in range(4)]
    rest_rig.finish(songs)

    answers = removed_at_once(rest_rig, *(path for song in songs for path in (f"{song}/vocals", f"{song}/drums", song)))

    assert set(answers) <= {200, 404, 409}
    assert answers[2::3] == [200] * 4
    assert all(stays_gone(rest_rig, song) for song in songs)


def test_a_song_removed_while_a_stem_of_it_is_being_removed_is_gone(rest_rig: Rig, finished: str) -> None:
    """Fault 68. The song goes between the change of the job and that of the report."""
    status = rest_rig.job(finished)
    assert rest_rig.queue.note_stem_removed(status) == 1
    rest_rig.removed(finished)

    assert status.report

    rest_rig.store.delete_stem(status.report, "vocals")

    assert stays_gone(rest_rig, finished)


def test_a_removal_that_was_cut_short_is_completed_when_it_is_sent_again(rest_rig: Rig, finished: str) -> None:
    """Fault 68. Its REST died, or the store was away, between the change of the job and that of the report."""
    status = rest_rig.job(finished)
    assert rest_rig.queue.note_stem_removed(status) == 1

    [answer] = removed_at_once(rest_rig, f"{finished}/vocals.wav")

    assert answer == 200
    rest_rig.check([finished])
    assert not [name for name in rest_rig.objects(finished) if "vocals" in name]


def test_a_stem_removed_while_its_song_is_separated_again_comes_back_with_the_others(rest_rig: Rig) -> None:
    """Fault 69. The removal changed the job before the song was sent again, and the report after it was separated."""
    rest_rig.worker()
    content = new_song()
    song = post(rest_rig, content)
    rest_rig.finish([song])
    removed_at_once(rest_rig, f"{song}/drums")
    status = rest_rig.job(song)
    assert rest_rig.queue.note_stem_removed(status) == 1
    post(rest_rig, content)
    rest_rig.finish([song])

    assert status.report

    rest_rig.store.delete_stem(status.report, "vocals")

    rest_rig.check([song])
    assert {track.name for track in rest_rig.job(song).tracks} == set(STEMS)
    assert rest_rig.separations(song) == 2


def test_a_report_changed_while_its_song_is_separated_again_costs_no_attempt(rest_rig: Rig) -> None:
    """Fault 69. The removal changes the report while the next separation runs: that one is not published over it."""
    content = new_song()
    first = rest_rig.worker()
    song = post(rest_rig, content, model="sleep-1")
    rest_rig.finish([song])
    removed_at_once(rest_rig, f"{song}/drums")
    status = rest_rig.job(song)
    assert rest_rig.queue.note_stem_removed(status) == 1
    post(rest_rig, content, model="sleep-1")
    eventually(lambda: rest_rig.separations(song) == 2)

    assert status.report

    rest_rig.store.delete_stem(status.report, "vocals")
    eventually(lambda: "put off" in first.log.read_text())
    rest_rig.reclaim_until(lambda: rest_rig.over([song]))

    rest_rig.check([song])
    assert rest_rig.job(song).status is Status.SUCCEEDED
    assert {track.name for track in rest_rig.job(song).tracks} == set(STEMS)
    assert rest_rig.job(song).attempt == 1


def test_a_report_whose_first_answer_was_lost_counts_as_stored(rest_rig: Rig, finished: str) -> None:
    """Fault 67. The client of the store sends it again, and the store refuses it as changed."""
    report, etag = rest_rig.store.report_and_etag(finished)
    assert report

    first, again, other = (rest_rig.store.put_report(replace(report, name=name), etag) for name in ("a", "a", "b"))

    assert (first, again, other) == (True, True, False)
