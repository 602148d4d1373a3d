"""Workers that are sick: every song fails there, or their GPU does. FAULTS.md numbers the faults."""

from __future__ import annotations

from msas.job import Status
from tests.support.processes import eventually
from tests.support.rig import Rig
from worker.serve import SICK


def test_a_worker_that_fails_three_songs_in_a_row_hands_the_third_back_and_ends(rig: Rig) -> None:
    """Fault 62."""
    worker = rig.worker(RETRY_SECONDS="1000")
    first, second, third, waiting = [*rig.accept("raise", 2), *rig.accept("raise-1"), *rig.accept()]

    exit_code = worker.process.wait(60)

    assert exit_code == SICK
    assert [rig.separations(song) for song in (first, second, third, waiting)] == [1, 1, 1, 0]
    assert [rig.job(song).attempt for song in (first, second, third)] == [1, 1, 0]
    assert rig.job(first).error
    assert rig.job(third).error is None
    assert rig.queue.list_all_jobs()[0] == [third, waiting], "the third is at the head of the line"
    assert worker.log.read_text().count('"event": "worker sick"') == 1
    assert "different songs failed in a row" in worker.log.read_text()
    healthy = rig.worker()
    eventually(lambda: rig.over([third, waiting]))
    assert rig.job(third).attempt == 1
    assert healthy.alive


def test_failures_between_songs_that_succeed_do_not_end_a_worker(rig: Rig) -> None:
    """Fault 62."""
    worker = rig.worker(RETRY_SECONDS="1000")

    for _ in range(3):
        [failing] = rig.accept("raise-1")
        eventually(lambda song=failing: rig.job(song).error)  # type: ignore[misc]
        [fine] = rig.accept()
        eventually(lambda song=fine: rig.job(song).status is Status.SUCCEEDED)  # type: ignore[misc]

    assert worker.alive


def test_a_song_that_fails_three_times_does_not_end_its_worker(rig: Rig) -> None:
    """Fault 62."""
    worker = rig.worker()
    [song] = rig.accept("raise")
    rig.reclaim_until(lambda: rig.over([song]))

    [fine] = rig.accept()
    rig.finish([fine])

    assert worker.alive


def test_a_gpu_error_that_lasts_ends_the_worker_at_once_and_the_song_runs_elsewhere(rig: Rig) -> None:
    """Fault 63. The attempt does not count; that the song waits is counted, or it might circulate for ever."""
    worker = rig.worker()
    [song] = rig.accept("cuda-1")

    exit_code = worker.process.wait(60)
    attempts = rig.job(song).attempt
    rig.worker()
    rig.reclaim_until(lambda: rig.over([song]))

    assert exit_code == SICK
    assert worker.log.read_text().count('"event": "worker sick"') == 1
    assert attempts == 0
    rig.check([song])
    assert rig.job(song).attempt == 1
    assert rig.separations(song) == 2


def test_stems_that_are_no_numbers_are_never_published_and_the_song_is_tried_again(rig: Rig) -> None:
    """Fault 64."""
    worker = rig.worker(RETRY_SECONDS="1000")
    [song] = rig.accept("nan-1")
    eventually(lambda: rig.job(song).error)

    assert rig.job(song).status is Status.QUEUED
    assert rig.store.published(song) is None
    assert "not finite" in worker.log.read_text()
    assert worker.alive
