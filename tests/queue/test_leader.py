"""One process at a time leads: it renews its leadership as it works, and stops once another leads."""

from __future__ import annotations

from functools import partial

import pytest

from msas.queue import Leader, LeadershipLost, Queue


def end_leadership(queue: Queue) -> None:
    """Let the time of the leader be over."""
    queue.redis.pexpireat(f"{queue.prefix}leader", 1)


def test_one_process_leads_until_its_time_is_over(queue: Queue) -> None:
    first, second = Leader(queue, 600), Leader(queue, 600)
    assert (first.acquire_leadership(), second.acquire_leadership()) == (True, False)

    end_leadership(queue)

    assert (second.acquire_leadership(), first.acquire_leadership()) == (True, False)


def test_a_leader_that_asks_again_leads_for_the_whole_time_anew(queue: Queue) -> None:
    key, first = f"{queue.prefix}leader", Leader(queue, 600)
    assert first.acquire_leadership()
    queue.redis.pexpire(key, 300_000)

    assert first.acquire_leadership()

    assert queue.redis.pttl(key) > 300_000


def test_a_leader_renews_its_leadership_once_a_third_of_the_time_is_over(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, leader, now = f"{queue.prefix}leader", Leader(queue, 600), 0.0
    monkeypatch.setattr("msas.queue.leader.time.monotonic", lambda: now)
    assert leader.acquire_leadership()
    queue.redis.pexpire(key, 400_000)

    now = 199.0
    leader.keep_leadership()
    early = queue.redis.pttl(key)
    now = 201.0
    leader.keep_leadership()

    assert early <= 400_000
    assert queue.redis.pttl(key) > 400_000


def test_a_leader_that_another_replaced_stops(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, now = Leader(queue, 600), Leader(queue, 600), 0.0
    monkeypatch.setattr("msas.queue.leader.time.monotonic", lambda: now)
    assert first.acquire_leadership()
    end_leadership(queue)
    assert second.acquire_leadership()

    now = 201.0

    with pytest.raises(LeadershipLost):
        first.keep_leadership()
    assert not first.acquire_leadership()


def test_a_leader_whose_time_ended_unnoticed_goes_on_where_nobody_else_leads(queue: Queue) -> None:
    first, second = Leader(queue, 0.05), Leader(queue, 600)
    assert first.acquire_leadership()
    end_leadership(queue)

    first.acquire_leadership()

    assert not second.acquire_leadership()


def test_a_leader_that_resigns_is_followed_at_once(queue: Queue) -> None:
    first, second = Leader(queue, 600), Leader(queue, 600)
    assert first.acquire_leadership()

    first.release_leadership()

    assert second.acquire_leadership()


def test_a_process_that_no_longer_leads_does_not_end_the_leadership_of_another(queue: Queue) -> None:
    first, second, third = (Leader(queue, 600) for _ in range(3))
    assert first.acquire_leadership()
    end_leadership(queue)
    assert second.acquire_leadership()

    first.release_leadership()

    assert not third.acquire_leadership()
    assert second.acquire_leadership()


def test_the_name_of_a_process_is_its_own(queue: Queue) -> None:
    names = {leader._name for leader in map(partial(Leader, queue), (600, 600, 600))}

    assert len(names) == 3
