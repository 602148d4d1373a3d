"""Faults of paused workers: they lose their lease, come back, and must change nothing. FAULTS.md numbers the faults.

Songs of the model `marked` get other stems at each attempt, so that a stem of the wrong attempt is seen.
"""

from __future__ import annotations

import hashlib

import pytest

from local.child import Child
from msas.options import Options
from msas.queue import JobView
from msas.report import Report
from tests.support.observer import begun, observed
from tests.support.processes import eventually
from tests.support.rig import Rig, go_on, is_stopped, new_song, stop, stopped

NOT_PUBLISHED_YET = ("claim:after", "published:after", "fetch_song:after")
PUBLISHED = ("put_report:after", "settle:before")
# The worker may store more before it asks for its lease again: stems, or, having asked for the last time, the report.
CONFIRMED = ("put_stem:before", "put_stem:after", "put_report:before")


def published(rig: Rig, song: str) -> tuple[JobView, Report, dict[str, str]]:
    """Return all that a caller can get of a song: its status, its report, and the SHA-256 of each stem."""
    found = rig.store.published(song)
    assert found
    status = rig.job(song)
    tag, tracks = status.tag, status.tracks
    stems = {track.name: rig.store.open_stem(song, track.name, track.extension, tag=tag) for track in tracks}
    return status, found[0], {name: hashlib.sha256(b"".join(stem)).hexdigest() for name, stem in stems.items()}


def test_a_worker_paused_beyond_its_lease_stops_its_song_and_changes_nothing(rig: Rig) -> None:
    """Fault 14."""
    paused = rig.worker()
    [song] = rig.accept("marked-1")
    with observed(rig.queue, [song]):
        eventually(lambda: rig.running(song, "separating"))
        with stopped(paused):
            rival = rig.worker()
            rig.expire_lease(paused)
            rig.reclaim_until(lambda: rig.over([song]))
            before = published(rig, song)
        eventually(lambda: "lease lost" in paused.log.read_text())

    rig.check([song])
    assert published(rig, song) == before
    assert rig.job(song).attempt == 2
    assert rig.separations(song) == 2
    assert "job succeeded" in rival.log.read_text()
    assert "job succeeded" not in paused.log.read_text()
    assert paused.alive


@pytest.mark.parametrize("point", [*NOT_PUBLISHED_YET, *PUBLISHED])
def test_a_worker_paused_at_any_call_changes_nothing_after_another_finished_its_song(rig: Rig, point: str) -> None:
    """Faults 15 and 16. A song that was published is not separated again."""
    paused = rig.worker(CRASH_AT=f"{point}:STOP")
    [song] = rig.accept("marked", stems=("vocals",))
    let_another_finish(rig, paused, song)
    before = published(rig, song)

    go_on(paused)
    eventually(lambda: "lease lost" in paused.log.read_text())

    assert published(rig, song) == before
    rig.check([song])
    if point in PUBLISHED:
        assert rig.separations(song) == 1
    assert "job succeeded" not in paused.log.read_text()
    assert paused.alive


@pytest.mark.parametrize("point", CONFIRMED)
def test_a_worker_paused_after_it_confirmed_its_lease_changes_nothing_and_removes_its_objects(
    rig: Rig, point: str
) -> None:
    """Fault 16."""
    paused = rig.worker(CRASH_AT=f"{point}:STOP")
    [song] = rig.accept("marked", stems=("vocals",))
    let_another_finish(rig, paused, song)
    before = published(rig, song)

    go_on(paused)
    eventually(lambda: "lease lost" in paused.log.read_text())

    assert published(rig, song) == before
    tag, songs = before[0].tag, {song, f"{song}.json"}
    assert tag, "the paused worker was the first, and had the plain names"
    names = {f"{song}-{tag}-{name}" for name in ("vocals.wav", "mixture.wav", "peaks.json")}
    assert set(rig.objects(song)) - songs == names | {f"{song}-report.json"}
    assert rig.places() == []
    assert "job succeeded" not in paused.log.read_text()
    assert paused.alive


def test_a_worker_paused_while_its_song_is_removed_and_sent_again_changes_nothing(rig: Rig) -> None:
    """Fault 70. Both attempts have the plain names."""
    content, options = new_song(), Options("marked", stems=("vocals",), format="wav")
    paused = rig.worker(CRASH_AT="put_stem:before:STOP")
    song = rig.accept_content(content, options)
    eventually(lambda: is_stopped(paused))
    rig.worker()
    rig.expire_lease(paused)
    rig.reclaim_until(lambda: rig.over([song]))
    rig.removed(song)
    assert rig.objects(song) == []
    rig.accept_content(content, options)
    rig.reclaim_until(lambda: rig.over([song]))
    before, objects = published(rig, song), rig.objects(song)

    go_on(paused)
    eventually(lambda: "lease lost" in paused.log.read_text())

    assert before[0].tag == ""
    assert published(rig, song) == before
    assert rig.objects(song) == objects
    rig.check([song])


def let_another_finish(rig: Rig, paused: Child, song: str) -> None:
    """Wait until the worker has paused itself, end its lease, and let another worker finish the song."""
    eventually(lambda: is_stopped(paused))
    rig.worker()
    rig.expire_lease(paused)
    rig.reclaim_until(lambda: rig.over([song]))


def test_a_worker_paused_before_its_claim_leaves_the_job_to_the_worker_that_has_it(rig: Rig) -> None:
    """Fault 14."""
    [song] = rig.accept("marked-1")  # before the worker starts, which would block at the list, not take
    paused = rig.worker(CRASH_AT="take_next:after:STOP")
    eventually(lambda: is_stopped(paused))
    rival = rig.worker()
    rig.expire_lease(paused)
    eventually(lambda: rig.running(song))

    go_on(paused)
    rig.finish([song])
    rival.process.kill()
    rival.process.wait()
    later = rig.accept()
    rig.finish(later)

    assert rig.job(song).attempt == 1
    assert rig.separations(song) == 1
    assert begun(paused.log.read_text()) == later


def test_a_worker_paused_before_its_claim_takes_the_job_anew_when_it_waits_in_line_again(rig: Rig) -> None:
    """Fault 14."""
    [song] = rig.accept("sleep-60")  # before the worker starts, which would block at the list, not take
    paused = rig.worker(CRASH_AT="take_next:after:STOP")
    eventually(lambda: is_stopped(paused))
    rig.expire_lease(paused)
    assert rig.queue.list_all_jobs() == ([song], [], [])

    go_on(paused)
    eventually(lambda: rig.running(song, "separating"))

    assert rig.queue.list_all_jobs() == ([], [song], []), "it runs, and no copy of it waits in line"
    assert rig.job(song).attempt == 1
    assert rig.separations(song) == 1
    assert paused.log.read_text().count("job claimed") == 1


def test_a_song_deleted_while_its_worker_was_paused_stays_deleted(rig: Rig) -> None:
    """Fault 37."""
    paused = rig.worker(CRASH_AT="put_report:before:STOP")
    [song] = rig.accept()
    eventually(lambda: is_stopped(paused))
    rig.worker()
    rig.removed(song)

    go_on(paused)
    eventually(lambda: any(word in paused.log.read_text() for word in ("job cancelled", "lease lost")))

    eventually(lambda: rig.queue.job(song) is None and not rig.objects(song))


def test_a_worker_paused_for_less_than_its_lease_finishes_its_song(rig: Rig) -> None:
    """Fault 14."""
    worker = rig.worker()
    [song] = rig.accept("marked-1")
    eventually(lambda: rig.running(song, "separating"))

    stop(worker)
    eventually(lambda: is_stopped(worker))
    go_on(worker)
    rig.finish([song])

    assert rig.job(song).attempt == 1
    assert rig.separations(song) == 1
