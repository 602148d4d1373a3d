"""A pytest plugin that removes one safeguard of the queue, the one that MUTANT names; tests must fail then.

`MUTANT=NUMBER pytest -p tests.soak.mutants tests/queue`.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msas.queue import Receiver, connection


@dataclass(frozen=True)
class Mutation:
    """A line of a script, replaced by `instead`; or a method in place of Receiver._next_message."""

    name: str
    script: str = ""
    line: str = ""
    instead: str = ""
    method: Callable[..., Any] | None = None


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
        "claim",
        "if not redis.call('LPOS', taken_key(ARGV[1]), ARGV[2]) then return 0 end",
    ),
    Mutation(
        "a settle that does not compare the token",
        "settle",
        "if token ~= ARGV[2] then return 'lost' end",
    ),
    Mutation(
        "a beat that does not compare the token",
        "beat",
        "if token ~= ARGV[3] then return 'lost' end",
        "if not token then return 'lost' end",
    ),
    Mutation(
        "a pop that holds the message nowhere for a moment",
        method=pops,
    ),
    Mutation(
        "an attempt that is not counted when it begins",
        "claim",
        "'attempt', mine and 0 or 1)",
        "'attempt', attempt and 0 or 1)",
    ),
    Mutation(
        "a claim of what is over",
        "claim",
        "if status and status ~= 'queued' and not gone and not mine then",
        "if status == 'running' and not gone and not mine then",
    ),
    Mutation(
        "no amnesty after an outage",
        "tick",
        "if NOW < last or last + LEASE < NOW then",
        "if false then",
    ),
    Mutation(
        "a settle that does not remember its token",
        "settle",
        "redis.call('HSET', key, 'settled', token)",
    ),
    Mutation(
        "a worker that does not look into its own list first",
        method=looks_into_the_line_first,
    ),
    Mutation(
        "a reclaim that does not look who holds the job",
        "tick",
        "local running = status == 'running' and holder == worker",
        "local running = status == 'running'",
    ),
)


def mutate(mutation: Mutation) -> None:
    """Change the queue of this process. Raises AssertionError unless the script has the line exactly once."""
    if mutation.method:
        Receiver._next_message = mutation.method  # type: ignore[method-assign]
        return
    folder = Path(tempfile.mkdtemp(prefix="msas-mutant-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    scripts = Path(shutil.copytree(connection._SCRIPTS, folder / "scripts"))
    path = scripts / f"{mutation.script}.lua"
    text = path.read_text()
    assert text.count(mutation.line) == 1, f"{path.name} has {text.count(mutation.line)} lines {mutation.line!r}"
    path.write_text(text.replace(mutation.line, mutation.instead))
    connection._SCRIPTS = scripts


if chosen := os.environ.get("MUTANT"):
    mutate(MUTATIONS[int(chosen)])
