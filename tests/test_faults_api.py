"""Requests that come at once, again, or at a bad moment; REST that dies or is alone. Numbers: FAULTS.md."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from local import Service
from local.child import Child
from msas.job import State
from tests.conftest import eventually
from tests.rig import BOUND, RECONCILE, Rig, go_on, is_stopped, song


@pytest.fixture(scope="module")
def rig(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Rig(tmp_path_factory.mktemp("api") / "rig", service.settings) as running:
        running.rest()
        offering = running.worker()
        running.ready(offering)
        eventually(running.queue.offered)
        end(offering)
        yield running


@pytest.fixture
def worker(rig: Rig) -> Iterator[Child]:
    worker = rig.worker()
    rig.ready(worker)
    yield worker
    go_on(worker)
    end(worker)


def end(worker: Child) -> None:
    worker.process.terminate()
    worker.process.wait(20)


def delete(rig: Rig, songhash: str) -> int:
    return requests.delete(f"{rig.url}/apiv1/remove/{songhash}", timeout=30).status_code


def gone(rig: Rig, songhash: str) -> bool:
    """Say whether nothing is left of a song: not in Redis, in no bucket, and REST knows nothing of it."""
    answer = requests.get(f"{rig.url}/apiv1/status/{songhash}", timeout=30)
    keys = [key for key in rig.queue.redis.scan_iter() if songhash.encode() in key]
    places = [place for place in rig.places() if songhash in str(rig.queue.overview())]
    return answer.status_code == 404 and not keys and not places and not rig.objects(songhash)


def test_32_fifty_clients_that_post_one_song_at_once_get_one_job_and_one_separation(rig: Rig) -> None:
    content = song(32)
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: rig.posted(content), range(50)))
    assert {answer.status_code for answer in answers} == {200}
    [songhash] = {answer.json()["hash"] for answer in answers}
    assert [answer.json()["reason"] for answer in answers].count("Song enqueued for separation") == 1
    assert rig.queue.redis.llen(rig.queue.name) == 1
    worker = rig.worker()
    rig.finish([songhash])
    assert rig.separations(songhash) == 1
    end(worker)


@pytest.mark.usefixtures("worker")
def test_33_one_song_with_other_options_is_another_job(rig: Rig) -> None:
    content = song(33)
    hashes = [rig.posted(content, format=form).json()["hash"] for form in ("wav", "flac")]
    rig.finish(hashes)
    assert len(set(hashes)) == 2


@pytest.mark.usefixtures("worker")
def test_34_a_song_posted_again_is_the_same_job_until_it_failed(rig: Rig) -> None:
    content = song(34)
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
    eventually(lambda: rig.separations(failing) == 6)
    eventually(lambda: rig.over([failing]))
    assert delete(rig, failing) == 200


def test_37_a_song_deleted_in_line_is_gone_at_once(rig: Rig) -> None:
    waiting, other = (rig.posted().json()["hash"] for _ in range(2))
    assert delete(rig, waiting) == 200
    assert gone(rig, waiting)
    assert rig.queue.overview() == ([other], [], [])
    assert delete(rig, waiting) == 404
    assert delete(rig, other) == 200


def test_37_a_song_deleted_while_it_waits_for_its_next_try_is_gone_at_once(rig: Rig) -> None:
    slow = rig.worker(replace(rig.settings, retry_seconds=60.0))
    songhash = rig.posted(model="raise").json()["hash"]
    eventually(lambda: rig.queue.overview()[2] == [songhash])
    assert delete(rig, songhash) == 200
    assert gone(rig, songhash)
    end(slow)


def test_37_a_song_deleted_between_taking_and_claiming_is_gone_and_never_begun(rig: Rig) -> None:
    worker = rig.worker(CRASH_AT="claim:before:STOP")
    songhash = rig.posted().json()["hash"]
    eventually(lambda: is_stopped(worker))
    assert delete(rig, songhash) == 200
    go_on(worker)
    eventually(lambda: gone(rig, songhash), 10)
    assert rig.separations(songhash) == 0
    end(worker)


def test_37_a_song_deleted_while_it_is_separated_stops_and_is_gone(rig: Rig, worker: Child) -> None:
    songhash = rig.posted(model="sleep-60").json()["hash"]
    eventually(lambda: rig.running(songhash, "separating"))
    assert delete(rig, songhash) == 200
    eventually(lambda: "job cancelled" in worker.log.read_text(), 3)
    eventually(lambda: gone(rig, songhash), 5)


@pytest.mark.parametrize("point", ["put_stem:after", "put_report:before", "put_report:after", "settle:before"])
def test_37_a_delete_wins_against_a_worker_that_is_just_storing(rig: Rig, point: str) -> None:
    worker = rig.worker(CRASH_AT=f"{point}:STOP")
    songhash = rig.posted().json()["hash"]
    eventually(lambda: is_stopped(worker))
    assert delete(rig, songhash) == 200
    go_on(worker)
    eventually(lambda: gone(rig, songhash), 10)
    end(worker)
    assert gone(rig, songhash)


def test_37_a_finished_song_that_was_deleted_stays_gone(rig: Rig, worker: Child) -> None:
    songhash = rig.posted().json()["hash"]
    eventually(lambda: rig.over([songhash]))
    message = rig.queue.redis.hget(rig.queue.job_key(songhash), "message")
    assert message is None
    assert delete(rig, songhash) == 200
    assert gone(rig, songhash)
    again = rig.posted().json()["hash"]
    eventually(lambda: rig.over([again]))
    assert gone(rig, songhash)
    assert worker.alive


def test_38_a_song_whose_rest_died_before_the_enqueue_is_separated_all_the_same(
    service: Service, tmp_path: Path
) -> None:
    with Rig(tmp_path / "rig", service.settings) as rig:
        dying = rig.rest(replace(rig.settings, reconcile_seconds=3600.0), CRASH_AT="enqueue:before")
        worker = rig.worker()
        eventually(rig.queue.offered)
        content = song(38)
        with pytest.raises(requests.ConnectionError):
            rig.posted(content)
        eventually(lambda: list(rig.store.messages()))
        [(songhash, _)] = rig.store.messages()
        eventually(lambda: rig.queue.status(songhash), 2 * RECONCILE + 5)
        rig.finish([songhash])
        end(dying)
        rig.rest()
        assert rig.posted(content).json()["hash"] == songhash
        assert (rig.separations(songhash), worker.alive) == (1, True)


def test_41_without_any_worker_rest_puts_back_in_line_what_is_due_and_what_lost_workers_held(rig: Rig) -> None:
    retried, held = rig.accept("raise-1") + rig.accept("sleep-60")
    worker = rig.worker()
    eventually(lambda: rig.running(held, "separating"))
    worker.process.kill()
    worker.process.wait()
    eventually(lambda: set(rig.queue.overview()[0]) == {retried, held}, BOUND)
    assert rig.queue.overview()[1:] == ([], [])
    assert [delete(rig, songhash) for songhash in (retried, held)] == [200, 200]


@pytest.mark.parametrize("days", [-1, 1])
def test_42_a_worker_whose_clock_is_off_by_a_day_is_like_any_other(rig: Rig, days: int) -> None:
    odd = rig.worker(CLOCK_OFF=str(days * 86400))
    songhash = rig.posted(model="sleep-1").json()["hash"]
    eventually(lambda: rig.running(songhash, "separating"))
    normal = rig.worker()
    rig.ready(normal)
    other = rig.posted().json()["hash"]
    rig.finish([songhash, other])
    assert (rig.status(songhash).attempt, rig.separations(songhash)) == (1, 1)
    end(odd)
    end(normal)
