"""The mutation gate: the ordinary tests of the queue fail as soon as one of its safeguards is removed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.soak.mutants import MUTATIONS
from tests.support.manifests import ROOT
from tests.support.processes import environment_with

pytestmark = pytest.mark.long
# The quickest first, since a run ends at the first failure. None of these needs more than a Redis.
FILES = (
    "races",
    "reclaim",
    "leader",
    "enqueue_claim_settle",
    "cancel",
    "broken_messages",
    "results",
    "callbacks_queue",
    "callback_hosts",
    "callback_bytes",
    "stats",
    "owners",
    "bounds",
    "positions",
    "machine",
    "crash_points_upkeep",
    "crash_points",
)
FAILED = 1  # pytest's exit status where tests failed; an error of another kind has another


def run_queue_tests(mutant: str = "") -> subprocess.CompletedProcess[str]:
    """Run the tests of the queue with this mutation, until one fails; without a name, unchanged."""
    files = [f"tests/queue/test_{name}.py" for name in FILES]
    options = ["-q", "-x", "-n0", "-p", "no:randomly", "-p", "no:cacheprovider", "-k", "not real_store"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, "-p", "tests.soak.mutants", *files],
        cwd=ROOT,
        env=environment_with(MUTANT=mutant),
        capture_output=True,
        text=True,
        timeout=900,
    )


def test_the_queue_tests_pass_without_a_mutation() -> None:
    done = run_queue_tests()

    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.parametrize("mutant", MUTATIONS)
def test_the_queue_tests_fail_with_a_mutation(mutant: str) -> None:
    done = run_queue_tests(mutant)

    assert done.returncode == FAILED, done.stdout[-2000:] + done.stderr[-2000:]
