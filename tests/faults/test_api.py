"""Requests that come at once, again, or at a bad moment; REST that dies, is alone, or late. Numbers: FAULTS.md."""

from __future__ import annotations

import copy
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import requests

from local import Service, servers
from local.child import Child
from msas.job import State
from msas.job import songhash as songhash_of
from msas.models import Model
from msas.options import Options
from msas.reconcile import Reconciler
from tests.support.fake_engine import MODELS, STEMS
from tests.support.processes import eventually
from tests.support.rig import BOUND, RECONCILE, Rig, go_on, is_stopped, song, stopped

NEW = 3_000_000  # songs that the rig makes have smaller numbers


@pytest.fixture(scope="module")
def rig(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A rig with REST, and no worker as yet: the tests that need none, or one of their own, come first."""
    with Rig(tmp_path_factory.mktemp("api") / "rig", service.settings) as running:
        running.rest()
        running.queue.offer({"models": [vars(Model(name, STEMS, "")) for name in MODELS], "default": MODELS[0]})
        yield running


@pytest.fixture(scope="module")
def worker(rig: Rig) -> Child:
    worker = rig.worker()
    rig.ready(worker)
    return worker


def end(*workers: Child) -> None:
    for worker in workers:
        worker.process.terminate()
    for worker in workers:
        assert worker.process.wait(20) == 0


def delete(rig: Rig, songhash: str) -> int:
    return requests.delete(f"{rig.url}/apiv1/remove/{songhash}", timeout=30).status_code


def gone(rig: Rig, songhash: str) -> bool:
    """Say whether nothing is left of a song: not in Redis, in no bucket, and REST knows nothing of it."""
    paths = (f"status/{songhash}", f"track/{songhash}/drums")
    answers = [requests.get(f"{rig.url}/apiv1/{path}", timeout=30).status_code for path in paths]
    keys = [key for key in rig.queue.redis.scan_iter() if songhash.encode() in key]
    in_line = songhash in str(rig.queue.overview())
    return answers == [404, 404] and not keys and not in_line and not rig.objects(songhash)


def gone_for_good(rig: Rig, songhash: str) -> bool:
    """The same, and a reconciler finds nothing to bring back."""
    Reconciler(rig.queue, rig.store, rig.settings.keep_days).sweep()
    return gone(rig, songhash)


def test_37_a_song_deleted_in_line_is_gone_at_once_with_all_copies_of_its_message(rig: Rig) -> None:
    waiting, other = (rig.posted().json()["hash"] for _ in range(2))
    rig.queue.redis.lpush(rig.queue.name, *[rig.store.message(waiting) or b""] * 3)
    assert delete(rig, waiting) == 200
    assert gone_for_good(rig, waiting)
    assert rig.queue.overview() == ([other], [], [])
    assert (delete(rig, waiting), delete(rig, other)) == (404, 200)


def test_37_a_song_deleted_while_it_waits_for_its_next_try_is_gone_at_once(rig: Rig) -> None:
    slow = rig.worker(replace(rig.settings, retry_seconds=60.0))
    songhash = rig.posted(model="raise").json()["hash"]
    eventually(lambda: rig.queue.overview()[2] == [songhash])
    assert delete(rig, songhash) == 200
    assert gone_for_good(rig, songhash)
    end(slow)


def test_37_a_song_deleted_between_taking_and_claiming_is_gone_and_never_begun(rig: Rig) -> None:
    worker = rig.worker(CRASH_AT="claim:before:STOP")
    songhash = rig.posted().json()["hash"]
    eventually(lambda: is_stopped(worker))
    assert delete(rig, songhash) == 200
    go_on(worker)
    eventually(lambda: gone_for_good(rig, songhash), BOUND)
    assert rig.separations(songhash) == 0
    end(worker)


@pytest.mark.parametrize("lost", [False, True], ids=["still_theirs", "lease_lost"])
def test_37_a_delete_wins_against_workers_that_are_just_storing(rig: Rig, lost: bool) -> None:
    points = ("put_stem:after", "put_report:before", "put_report:after", "settle:before")
    workers = [rig.worker(CRASH_AT=f"{point}:STOP") for point in points]
    rig.ready(*workers)
    songs = [rig.posted().json()["hash"] for _ in workers]
    eventually(lambda: all(is_stopped(worker) for worker in workers))
    assert [delete(rig, songhash) for songhash in songs] == [200] * len(songs)
    if lost:
        eventually(lambda: all(gone(rig, songhash) for songhash in songs))
    for worker in workers:
        go_on(worker)
    end(*workers)
    eventually(lambda: all(gone(rig, songhash) for songhash in songs), BOUND + 2 * RECONCILE)
    assert all(gone_for_good(rig, songhash) for songhash in songs)


def test_37_a_song_sent_again_after_its_delete_is_not_taken_for_what_a_late_worker_stored(rig: Rig) -> None:
    content = song(NEW + 37)
    songhash = rig.posted(content).json()["hash"]
    assert delete(rig, songhash) == 200
    assert songhash in rig.queue.removed()
    assert rig.posted(content).json()["hash"] == songhash
    assert songhash not in rig.queue.removed()
    reconciler = Reconciler(rig.queue, rig.store, rig.settings.keep_days)
    for _ in range(3):
        reconciler.sweep()
    assert songhash in rig.queue.overview()[0]
    assert rig.store.message(songhash)
    assert delete(rig, songhash) == 200


def test_41_without_any_worker_rest_puts_back_in_line_what_is_due_and_what_lost_workers_held(rig: Rig) -> None:
    retried, held = rig.accept("raise-1") + rig.accept("sleep-60")
    worker = rig.worker()
    eventually(lambda: rig.running(held, "separating"))
    worker.process.kill()
    worker.process.wait()
    eventually(lambda: set(rig.queue.overview()[0]) == {retried, held}, BOUND)
    assert rig.queue.overview()[1:] == ([], [])
    assert [delete(rig, songhash) for songhash in (retried, held)] == [200, 200]


def test_32_fifty_clients_that_post_one_song_at_once_get_one_job_and_one_separation(
    rig: Rig, request: pytest.FixtureRequest
) -> None:
    content = song(NEW + 32)
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: rig.posted(content), range(50)))
    assert {answer.status_code for answer in answers} == {200}
    [songhash] = {answer.json()["hash"] for answer in answers}
    assert [answer.json()["reason"] for answer in answers].count("Song enqueued for separation") == 1
    assert rig.queue.redis.llen(rig.queue.name) == 1
    request.getfixturevalue("worker")
    rig.finish([songhash])
    assert rig.separations(songhash) == 1


@pytest.mark.usefixtures("worker")
def test_33_one_song_with_other_options_is_another_job(rig: Rig) -> None:
    hashes = [rig.posted(song(NEW + 33), format=form).json()["hash"] for form in ("wav", "flac")]
    rig.finish(hashes)
    assert len(set(hashes)) == 2
    assert [rig.separations(songhash) for songhash in hashes] == [1, 1]


@pytest.mark.usefixtures("worker")
def test_34_a_song_posted_again_is_the_same_job_until_it_failed(rig: Rig) -> None:
    content = song(NEW + 34)
    songhash = rig.posted(content, model="sleep-1").json()["hash"]
    eventually(lambda: rig.running(songhash, "separating"))
    assert rig.posted(content, model="sleep-1").json()["reason"] == "Song is being separated"
    rig.finish([songhash])
    assert rig.posted(content, model="sleep-1").json()["reason"] == "Song already separated"
    assert rig.separations(songhash) == 1
    failing = rig.posted(content, model="raise").json()["hash"]
    eventually(lambda: rig.over([failing]))
    assert rig.status(failing).state is State.FAILED
    assert rig.posted(content, model="raise").json()["reason"] == "Song enqueued for separation"
    eventually(lambda: rig.over([failing]) and rig.separations(failing) == 6)
    assert (delete(rig, failing), gone_for_good(rig, failing)) == (200, True)


def test_37_a_song_deleted_while_it_is_separated_stops_and_is_gone(rig: Rig, worker: Child) -> None:
    songhash = rig.posted(model="sleep-60").json()["hash"]
    eventually(lambda: rig.running(songhash, "separating"))
    assert delete(rig, songhash) == 200
    said = f'"job cancelled", "songhash": "{songhash}"'
    eventually(lambda: said in worker.log.read_text(), BOUND)
    eventually(lambda: gone_for_good(rig, songhash), BOUND)


def test_37_a_finished_song_that_was_deleted_stays_gone(rig: Rig, worker: Child) -> None:
    songhash = rig.posted().json()["hash"]
    rig.finish([songhash])
    assert delete(rig, songhash) == 200
    assert gone_for_good(rig, songhash)
    rig.finish([rig.posted().json()["hash"]])
    assert gone_for_good(rig, songhash)
    assert worker.alive


def test_37_a_copy_of_a_deleted_song_s_message_brings_nothing_back(rig: Rig, worker: Child) -> None:
    """The worker lets go of the song last: from then on nobody knows that it ever was."""
    songhash = rig.posted(model="sleep-60").json()["hash"]
    eventually(lambda: rig.running(songhash, "separating"))
    rig.queue.redis.lpush(rig.queue.name, rig.store.message(songhash) or b"")
    with stopped(worker):
        assert delete(rig, songhash) == 200
    rig.finish(rig.accept())
    assert gone_for_good(rig, songhash)


def second_rest(rig: Rig, **variables: str) -> Rig:
    """Return the rig as seen through a REST of its own, which does not reconcile."""
    other = copy.copy(rig)
    other.settings = replace(rig.settings, rest_port=servers.free_ports(1)[0], reconcile_seconds=3600.0)
    other.rest(None, **variables)
    return other


def test_38_a_song_whose_rest_died_before_the_enqueue_is_separated_all_the_same(rig: Rig, worker: Child) -> None:
    content = song(NEW + 38)
    dying = second_rest(rig, CRASH_AT="enqueue:before")
    with pytest.raises(requests.ConnectionError):
        dying.posted(content)
    songhash = songhash_of(io.BytesIO(content), Options("quick", format="wav"))
    eventually(lambda: rig.queue.status(songhash), 2 * RECONCILE + BOUND)
    assert rig.posted(content).json()["hash"] == songhash
    rig.finish([songhash])
    assert (rig.separations(songhash), worker.alive) == (1, True)


def test_42_a_worker_and_a_rest_whose_clocks_are_off_by_a_day_are_like_any_other(rig: Rig, worker: Child) -> None:
    """Their sense of time.time() is off. Where the whole clock is, an S3 store refuses what they sign."""
    odd = [rig.worker(CLOCK_OFF=str(days * 86400)) for days in (-1, 1)]
    late = second_rest(rig, CLOCK_OFF="-86400")
    rig.ready(*odd)
    songs = [late.posted(model="sleep-1").json()["hash"] for _ in range(4)]
    eventually(lambda: sum(rig.running(songhash, "separating") for songhash in songs) == 3)
    rig.finish(songs)
    for songhash in songs:
        assert (rig.status(songhash).attempt, rig.separations(songhash)) == (1, 1)
        one, other = (requests.get(f"{each.url}/apiv1/status/{songhash}", timeout=10).json() for each in (rig, late))
        assert one == other
        assert one["enqueued_at"] <= one["started_at"] <= one["ended_at"]
    assert worker.alive
    end(*odd)


def test_a_song_whose_stem_vanished_from_the_store_is_separated_again_when_it_is_sent_again(
    rig: Rig, worker: Child
) -> None:
    content = song(NEW + 50)
    songhash = rig.posted(content).json()["hash"]
    eventually(lambda: rig.over([songhash]))
    rig.store.remove_stem(songhash, "drums", "wav")
    assert rig.posted(content).json()["reason"] == "Song enqueued for separation"
    rig.finish([songhash])
    assert (rig.separations(songhash), worker.alive) == (2, True)
