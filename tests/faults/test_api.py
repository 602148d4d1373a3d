"""Faults around requests: repeats, deletes at a bad moment, a REST that dies, wrong clocks. FAULTS.md numbers them."""

from __future__ import annotations

import copy
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest
import requests

from local import servers
from msas.job import Status, compute_songhash
from msas.options import Options
from tests.support.offers import advertise_models
from tests.support.processes import eventually
from tests.support.queue_time import removed_jobs
from tests.support.reconcile import reconcile
from tests.support.requests import problem
from tests.support.rig import Rig, go_on, is_stopped, new_song, stopped

STORING = ("put_stem:after", "put_report:before", "put_report:after", "settle:before")


def post(rig: Rig, content: bytes | None = None, **fields: str) -> str:
    """Send REST a song, a new one where none is given; return its songhash."""
    answer = rig.posted(content, **fields)
    assert answer.status_code == 200, answer.text
    songhash: str = answer.json()["hash"]
    return songhash


def delete(rig: Rig, songhash: str) -> int:
    return requests.delete(f"{rig.url}/apiv1/remove/{songhash}", timeout=30).status_code


def is_gone(rig: Rig, songhash: str) -> bool:
    """Say whether nothing is left of a song: not in Redis, in no bucket, and REST knows nothing of it."""
    paths = (f"status/{songhash}", f"track/{songhash}/drums")
    answers = [requests.get(f"{rig.url}/apiv1/{path}", timeout=30).status_code for path in paths]
    keys = [key for key in rig.queue.redis.scan_iter() if songhash.encode() in key]
    in_line = songhash in str(rig.queue.list_all_jobs())
    return answers == [404, 404] and not keys and not in_line and not rig.objects(songhash)


def stays_gone(rig: Rig, songhash: str) -> bool:
    """The same, and a reconciler finds nothing to bring back."""
    reconcile(rig.queue, rig.store)
    return is_gone(rig, songhash)


def test_a_song_deleted_in_line_is_gone_with_all_copies_of_its_message(rest_rig: Rig) -> None:
    """Fault 37."""
    waiting, other = post(rest_rig), post(rest_rig)
    rest_rig.queue.redis.lpush(rest_rig.queue.name, *[rest_rig.store.message(waiting) or b""] * 3)

    assert delete(rest_rig, waiting) == 200

    assert stays_gone(rest_rig, waiting)
    assert rest_rig.queue.list_all_jobs() == ([other], [], [])
    assert delete(rest_rig, waiting) == 404


def test_a_song_deleted_while_it_waits_for_its_next_attempt_is_gone(rest_rig: Rig) -> None:
    """Fault 37."""
    rest_rig.worker(RETRY_SECONDS="60")
    songhash = post(rest_rig, model="raise")
    eventually(lambda: rest_rig.queue.list_all_jobs()[2] == [songhash])

    assert delete(rest_rig, songhash) == 200

    assert stays_gone(rest_rig, songhash)


def test_a_song_deleted_between_taking_and_claiming_is_never_separated(rest_rig: Rig) -> None:
    """Fault 37."""
    worker = rest_rig.worker(CRASH_AT="claim:before:STOP")
    songhash = post(rest_rig)
    eventually(lambda: is_stopped(worker))

    assert delete(rest_rig, songhash) == 200
    go_on(worker)

    eventually(lambda: stays_gone(rest_rig, songhash))
    assert rest_rig.separations(songhash) == 0


@pytest.mark.parametrize("lease", ["held", "lost"])
@pytest.mark.parametrize("point", STORING)
def test_a_song_deleted_while_its_worker_stores_it_is_gone(rest_rig: Rig, point: str, lease: str) -> None:
    """Fault 37. The worker keeps its lease until it goes on, or loses it."""
    worker = rest_rig.worker(CRASH_AT=f"{point}:STOP")
    songhash = post(rest_rig)
    eventually(lambda: is_stopped(worker))

    assert delete(rest_rig, songhash) == 200
    if lease == "lost":
        rest_rig.expire_lease(worker)
        eventually(lambda: stays_gone(rest_rig, songhash))
    go_on(worker)
    worker.process.terminate()
    assert worker.process.wait(60) == 0

    for _ in range(2):  # it removes what it finds twice
        reconcile(rest_rig.queue, rest_rig.store)
    assert is_gone(rest_rig, songhash)


def test_a_song_posted_again_after_its_delete_waits_in_line_and_stays(rest_rig: Rig) -> None:
    """Fault 37. A reconciler must not take it for what a late worker stored."""
    content = new_song()
    songhash = post(rest_rig, content)
    assert delete(rest_rig, songhash) == 200
    assert songhash in removed_jobs(rest_rig.queue)

    assert post(rest_rig, content) == songhash
    removed = removed_jobs(rest_rig.queue)
    for _ in range(3):
        reconcile(rest_rig.queue, rest_rig.store)

    assert songhash not in removed
    assert songhash in rest_rig.queue.list_all_jobs()[0]
    assert rest_rig.store.message(songhash)


def test_without_a_worker_rest_puts_back_in_line_what_is_due_and_what_a_lost_worker_held(rest_rig: Rig) -> None:
    """Fault 41. Only REST reclaims here."""
    [retried], [held] = rest_rig.accept("raise-1"), rest_rig.accept("sleep-60")
    worker = rest_rig.worker(BEAT_SECONDS="0.2", LEASE_SECONDS="1", RETRY_SECONDS="2")
    eventually(lambda: rest_rig.running(held, "separating"))

    worker.process.kill()
    worker.process.wait()

    eventually(lambda: set(rest_rig.queue.list_all_jobs()[0]) == {retried, held}, 60)
    assert rest_rig.queue.list_all_jobs()[1:] == ([], [])


def test_fifty_clients_that_post_one_song_at_once_get_one_job_and_one_separation(rest_rig: Rig) -> None:
    """Fault 32."""
    content = new_song()

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: rest_rig.posted(content), range(50)))
    in_line = rest_rig.queue.redis.llen(rest_rig.queue.name)
    rest_rig.worker()
    [songhash] = {answer.json()["hash"] for answer in answers}
    rest_rig.finish([songhash])

    assert {answer.status_code for answer in answers} == {200}
    assert [answer.json()["reason"] for answer in answers].count("Song enqueued for separation") == 1
    assert in_line == 1
    assert rest_rig.separations(songhash) == 1


def test_one_song_with_other_options_is_another_job(rest_rig: Rig) -> None:
    """Fault 33."""
    rest_rig.worker()
    content = new_song()

    wav, flac = post(rest_rig, content, format="wav"), post(rest_rig, content, format="flac")
    rest_rig.finish([wav, flac])

    assert wav != flac
    assert rest_rig.separations(wav) == 1
    assert rest_rig.separations(flac) == 1


def test_a_song_posted_again_while_it_runs_and_after_it_succeeded_is_the_same_job(rest_rig: Rig) -> None:
    """Fault 34."""
    rest_rig.worker()
    content = new_song()
    songhash = post(rest_rig, content, model="sleep-1")
    eventually(lambda: rest_rig.running(songhash, "separating"))

    while_running = rest_rig.posted(content, model="sleep-1").json()["reason"]
    rest_rig.finish([songhash])
    afterwards = rest_rig.posted(content, model="sleep-1").json()["reason"]

    assert while_running == "Song is being separated"
    assert afterwards == "Song already separated"
    assert rest_rig.separations(songhash) == 1


def test_a_song_posted_again_after_it_failed_is_tried_again(rest_rig: Rig) -> None:
    """Fault 34."""
    rest_rig.worker()
    content = new_song()
    songhash = post(rest_rig, content, model="raise")
    rest_rig.reclaim_until(lambda: rest_rig.over([songhash]))
    assert rest_rig.job(songhash).status is Status.FAILED

    reason = rest_rig.posted(content, model="raise").json()["reason"]
    rest_rig.reclaim_until(lambda: rest_rig.over([songhash]) and rest_rig.separations(songhash) == 6)

    assert reason == "Song enqueued for separation"
    assert delete(rest_rig, songhash) == 200
    assert stays_gone(rest_rig, songhash)


def test_a_song_deleted_while_it_is_separated_stops_and_is_gone(rest_rig: Rig) -> None:
    """Fault 37."""
    worker = rest_rig.worker()
    songhash = post(rest_rig, model="sleep-60")
    eventually(lambda: rest_rig.running(songhash, "separating"))

    assert delete(rest_rig, songhash) == 200
    eventually(lambda: f'"job cancelled", "songhash": "{songhash}"' in worker.log.read_text())

    eventually(lambda: stays_gone(rest_rig, songhash))


def test_a_finished_song_that_was_deleted_stays_gone(rest_rig: Rig) -> None:
    """Fault 37."""
    worker = rest_rig.worker()
    songhash = post(rest_rig)
    rest_rig.finish([songhash])

    assert delete(rest_rig, songhash) == 200
    assert stays_gone(rest_rig, songhash)
    rest_rig.finish([post(rest_rig)])

    assert stays_gone(rest_rig, songhash)
    assert worker.alive


def test_a_copy_of_a_deleted_song_s_message_brings_nothing_back(rest_rig: Rig) -> None:
    """Fault 37. The worker lets go of the song last: from then on no process knows that it ever was."""
    worker = rest_rig.worker()
    songhash = post(rest_rig, model="sleep-60")
    eventually(lambda: rest_rig.running(songhash, "separating"))
    rest_rig.queue.redis.lpush(rest_rig.queue.name, rest_rig.store.message(songhash) or b"")

    with stopped(worker):
        assert delete(rest_rig, songhash) == 200
    rest_rig.finish(rest_rig.accept())

    assert stays_gone(rest_rig, songhash)


@contextmanager
def second_rest(rig: Rig, **variables: str) -> Iterator[Rig]:
    """Start a second REST for the block; yield the rig as seen through it."""
    other = copy.copy(rig)
    other.settings = replace(rig.settings, rest_port=servers.free_ports(1)[0])
    rest = other.rest(None, **variables)
    try:
        yield other
    finally:
        rest.stop(1)
        rig.children.remove(rest)


def test_a_song_whose_rest_died_before_the_enqueue_is_separated_all_the_same(rest_rig: Rig) -> None:
    """Fault 38. Another process finds the song's message in the store."""
    content = new_song()
    songhash = compute_songhash(io.BytesIO(content), Options("quick", format="wav"))

    with second_rest(rest_rig, CRASH_AT="enqueue:before") as dying, pytest.raises(requests.ConnectionError):
        dying.posted(content)
    rest_rig.worker()
    rest_rig.keeper()
    eventually(lambda: rest_rig.queue.job(songhash), 60)
    rest_rig.finish([songhash], 60)
    again = post(rest_rig, content)

    assert again == songhash
    assert rest_rig.separations(songhash) == 1


def test_a_worker_and_a_rest_whose_clocks_are_off_by_a_day_work_like_any_other(rest_rig: Rig) -> None:
    """Fault 42. Only their `time.time` is off: the store refuses what a machine with a wrong clock signs."""
    for days in (-1, 1):
        rest_rig.worker(CLOCK_OFF=str(days * 86400))
    with second_rest(rest_rig, CLOCK_OFF="-86400") as late:
        songs = [post(late, model="sleep-1") for _ in range(2)]
        eventually(lambda: all(rest_rig.running(songhash, "separating") for songhash in songs))
        rest_rig.finish(songs)
        answers = [[status_answer(each, songhash) for each in (rest_rig, late)] for songhash in songs]

    for songhash, (answer, late_answer) in zip(songs, answers, strict=True):
        assert rest_rig.job(songhash).attempt == 1
        assert rest_rig.separations(songhash) == 1
        assert late_answer == answer
        assert answer["enqueued_at"] <= answer["started_at"] <= answer["ended_at"]


def status_answer(rig: Rig, songhash: str) -> dict[str, str]:
    content: dict[str, str] = requests.get(f"{rig.url}/apiv1/status/{songhash}", timeout=30).json()
    return content


def test_a_song_whose_stem_vanished_from_the_store_is_separated_again_when_posted_again(rest_rig: Rig) -> None:
    """Fault 50."""
    rest_rig.worker()
    content = new_song()
    songhash = post(rest_rig, content)
    rest_rig.finish([songhash])
    rest_rig.store.remove_stem(songhash, "drums", "wav")

    reason = rest_rig.posted(content).json()["reason"]
    rest_rig.finish([songhash])

    assert reason == "Song enqueued for separation"
    assert rest_rig.separations(songhash) == 2


def test_a_song_is_refused_with_503_while_no_worker_has_offered_a_model(rest_rig: Rig) -> None:
    """Fault 51."""
    advertise_models(rest_rig.queue, None)

    answer = rest_rig.posted()

    assert problem(answer) == (503, "no_worker")
    assert int(answer.headers["Retry-After"]) >= 1
