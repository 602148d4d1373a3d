"""`python -m msas.logs`: show the log lines of all services, oldest first, then each new one.

Formatted lines on a terminal, JSON lines otherwise. Ctrl-C ends it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import cast

from msas.errors import QueueUnavailable
from msas.logs import log
from msas.queue.connection import connect, translate_errors
from msas.settings import Settings

_POLL_SECONDS = 0.5
_PAGE = 200  # lines that a poll reads first: mostly all that are new
_OVERLAP = 20  # equal lines in a row that show where known lines begin: a single line may have been logged twice
_TIME = slice(5, 23)  # of an ISO date: month to milliseconds


class ListFollower:
    """Finds the new lines of a capped list, to which other processes add lines at its head.

    The length of a full list does not change, so new lines are found by comparing contents. After a restart Redis may
    have lost its newest lines, or all of them.
    """

    def __init__(self, read: Callable[[int], list[bytes]]) -> None:
        """`read` returns at most so many lines, the newest first."""
        self._read, self._known = read, list[bytes]()

    def poll(self) -> list[bytes]:
        """Return the new lines, oldest first."""
        found = self._read(_PAGE if self._known else log.LINES_KEPT)
        overlap = _find_overlap(found, self._known)
        if overlap is None and len(found) == _PAGE:
            found = self._read(log.LINES_KEPT)
            overlap = _find_overlap(found, self._known)
        new, known = overlap or (len(found), 0)
        self._known = (found[:new] + self._known[known:])[: log.LINES_KEPT]
        return found[:new][::-1]


def _find_overlap(found: list[bytes], known: list[bytes]) -> tuple[int, int] | None:
    """Return where in both lists, newest first, the shared lines begin; None without shared lines."""
    places: dict[bytes, list[int]] = {}
    for index, line in enumerate(found):
        places.setdefault(line, []).append(index)
    for start, line in enumerate(known):
        for index in places.get(line, ()):
            pairs = zip(found[index : index + _OVERLAP], known[start : start + _OVERLAP], strict=False)
            if all(one == other for one, other in pairs):
                return index, start
    return None


def follow_lines(settings: Settings) -> Iterator[bytes]:
    """Yield each line of the list once, for ever. While Redis is away, wait and report it once on stderr."""
    redis, is_reported = connect(settings), False

    def read(most: int) -> list[bytes]:
        with translate_errors():
            return cast(list[bytes], redis.lrange(settings.log_list, 0, most - 1))

    follower = ListFollower(read)
    while True:
        try:
            yield from follower.poll()
            is_reported = False
        except QueueUnavailable as problem:
            if not is_reported:
                where = settings.redis_address()
                print(f"{where}: {problem.detail} Waiting for it ...", file=sys.stderr, flush=True)
            is_reported = True
        time.sleep(_POLL_SECONDS)


def format_line(line: bytes) -> str:
    """Return a line as text for a terminal; control characters, which callers may have sent, are escaped."""
    text = line.decode(errors="replace")
    try:
        facts = json.loads(text)
        time_text = str(facts.pop("time"))[_TIME].replace("T", " ")
        first = [time_text, str(facts.pop("service")).ljust(6), str(facts.pop("event"))]
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return _printable(text)
    level, trace = facts.pop("level", "info"), facts.pop("trace", "")
    if level != "info":
        first.insert(2, f"{level}:")
    shown = " ".join([*first, *(f"{name}={_value(value)}" for name, value in facts.items())])
    return "\n    ".join(map(_printable, [shown, *str(trace).splitlines()]))


def _value(value: object) -> str:
    return value if isinstance(value, str) and value and " " not in value else json.dumps(value, ensure_ascii=False)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def main() -> int:
    """Follow the list until Ctrl-C or until stdout is closed; return the exit status."""
    settings = Settings.from_environment_or_exit()
    for_people = sys.stdout.isatty()
    try:
        for line in follow_lines(settings):
            sys.stdout.write(f"{format_line(line) if for_people else line.decode(errors='replace')}\n")
            sys.stdout.flush()
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # else Python would write to it once more at its exit
    return 0


if __name__ == "__main__":
    sys.exit(main())
