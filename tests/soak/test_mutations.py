"""The gate: each thing that the queue does for safety is taken out, one at a time, and the tests must notice.

What they notice it by is the scenario that is made for it, or a seed of the interleavings; both pass as the code is.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from msas.queue import Receiver, connection
from tests.queue.scheduler import FORGETFUL, ORDINARY, Interleaving
from tests.soak import scenarios
from tests.soak.scenarios import SCENARIOS
from tests.support.in_process import Place

Scenario = Callable[[Place], None]
_FOLDER = connection._SCRIPTS


@dataclass(frozen=True)
class Mutation:
    """One line of a script, or one method, as somebody might simplify it; and the scenario that needs it."""

    name: str
    scenario: Scenario
    script: str = ""
    line: str = ""
    instead: str = ""
    method: Callable[..., Any] | None = None  # instead of Receiver._next_message


def pops(self: Receiver, _listening: AbstractContextManager[None]) -> Any:
    """Take the next message as the textbook does: pop it, then note it down."""
    redis: Any = self.queue.redis
    with connection.answering():
        held = redis.lindex(self.taken, -1)
        if held is None and (held := redis.rpop(self.queue.name)):
            redis.lpush(self.taken, held)
    return held


def looks_into_the_line_first(self: Receiver, _listening: AbstractContextManager[None]) -> Any:
    with connection.answering():
        return self._blocking.blmove(self.queue.name, self.taken, 0, "RIGHT", "LEFT")


MUTATIONS = (
    Mutation(
        "a claim that does not look whether the message is still its own",
        scenarios.a_worker_that_pauses_before_its_claim_claims_nothing_that_was_taken_back,
        "claim",
        "if not redis.call('LPOS', taken_key(ARGV[1]), ARGV[2]) then return 0 end",
    ),
    Mutation(
        "a settle that does not compare the token",
        scenarios.a_zombie_settles_nothing,
        "settle",
        "if token ~= ARGV[2] then return 'lost' end",
    ),
    Mutation(
        "a beat that does not compare the token",
        scenarios.a_zombie_learns_from_its_beat_that_it_lost_the_job,
        "beat",
        "if token ~= ARGV[3] then return 'lost' end",
        "if not token then return 'lost' end",
    ),
    Mutation(
        "a pop that holds the message nowhere for a moment",
        scenarios.a_message_is_somewhere_in_redis_at_every_moment,
        method=pops,
    ),
    Mutation(
        "an attempt that is not counted when it begins",
        scenarios.a_song_that_kills_its_workers_is_given_up_after_three,
        "claim",
        "'attempt', mine and 0 or 1)",
        "'attempt', attempt and 0 or 1)",
    ),
    Mutation(
        "a claim of what is over",
        scenarios.what_is_over_stays_over_whoever_sends_it_again,
        "claim",
        "if status and status ~= 'queued' and not gone and not mine then",
        "if status == 'running' and not gone and not mine then",
    ),
    Mutation(
        "no amnesty after an outage",
        scenarios.after_an_outage_nobody_loses_a_job_that_still_runs,
        "tick",
        "if NOW < last or last + LEASE < NOW then",
        "if false then",
    ),
    Mutation(
        "a settle that does not remember its token",
        scenarios.a_settle_that_is_sent_twice_is_answered_the_same,
        "settle",
        "redis.call('HSET', key, 'settled', token)",
    ),
    Mutation(
        "a worker that does not look into its own list first",
        scenarios.a_worker_finds_what_it_was_given_in_a_reply_that_was_lost,
        method=looks_into_the_line_first,
    ),
    Mutation(
        "a reclaim that does not look who holds the job",
        scenarios.a_copy_in_a_dead_worker_s_list_takes_the_job_out_of_nobody_s_hands,
        "tick",
        "local running = status == 'running' and holder == worker",
        "local running = status == 'running'",
    ),
)
# What random search is not likely to meet: it is why there are scenarios.
RARE = {
    "no amnesty after an outage",
    "a settle that does not remember its token",
    "a reclaim that does not look who holds the job",
}
_SEEDS = 60


def _words(mutation: Mutation) -> str:
    return mutation.name.replace(" ", "-")


@contextmanager
def mutated(mutation: Mutation, folder: Path) -> Iterator[None]:
    """Run the block with the queue so changed."""
    with ExitStack() as stack:
        if mutation.method:
            stack.enter_context(patch.object(Receiver, "_next_message", mutation.method))
        else:
            scripts = Path(shutil.copytree(_FOLDER, folder / "scripts", dirs_exist_ok=True))
            path = scripts / f"{mutation.script}.lua"
            text = path.read_text()
            assert text.count(mutation.line) == 1, "the line is there, once"
            path.write_text(text.replace(mutation.line, mutation.instead))
            stack.enter_context(patch.object(connection, "_SCRIPTS", scripts))
        yield


def play(scenario: Scenario) -> None:
    with Place() as place:
        scenario(place)


def interleave(seed: int) -> None:
    """Go through this order of calls, with a Redis that forgets nothing and with one that does."""
    for events in (ORDINARY, FORGETFUL):
        with Place() as place, Interleaving(place, seed, events) as run:
            run.go()
            run.end()


def noticed(mutation: Mutation | None, act: Callable[[], None], folder: Path) -> bool:
    """Say whether `act` fails with the queue so changed; or as it is, without a mutation."""
    with mutated(mutation, folder) if mutation else nullcontext():
        try:
            act()
        except Exception:
            return True
        return False


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_the_queue_stands(scenario: Scenario) -> None:
    play(scenario)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=_words)
def test_the_tests_notice(mutation: Mutation, tmp_path: Path) -> None:
    act = partial(play, mutation.scenario)
    assert not noticed(None, act, tmp_path)
    assert noticed(mutation, act, tmp_path)


@pytest.mark.parametrize("mutation", [each for each in MUTATIONS if each.name not in RARE], ids=_words)
def test_the_interleavings_notice(mutation: Mutation, tmp_path: Path) -> None:
    """tests/test_interleavings.py goes through the same seeds and more with the code as it is."""
    assert any(noticed(mutation, partial(interleave, seed), tmp_path) for seed in range(_SEEDS))


def test_every_scenario_is_needed_for_a_mutation() -> None:
    assert {mutation.scenario for mutation in MUTATIONS} == set(SCENARIOS)
