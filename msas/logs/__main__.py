"""`python -m msas.logs`: show the log lines of all services, oldest first, then each new one as it comes.

Plain lines on a terminal, the JSON itself where something else reads them. Ctrl-C ends it.
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
from msas.settings import Settings, SettingsError

_LOOK_SECONDS = 0.5
_GLANCE = 200  # lines, in which what is new since the last look mostly lies
_RUN = 20  # lines in a row that must agree, for one alone may have been logged twice
_TIME = slice(5, 23)  # of an ISO date: month to milliseconds


class Tail:
    """A list to which others push new lines at its head, and whose end is cut off: what is new since the last look.

    Its length tells nothing once it is full, so lines are told from those known by what they are. Redis may forget
    its newest, or all of them, when it is started again.
    """

    def __init__(self, read: Callable[[int], list[bytes]]) -> None:
        """`read` returns up to so many lines, the newest first."""
        self._read, self._known = read, list[bytes]()

    def look(self) -> list[bytes]:
        """Return the lines that are new, oldest first."""
        found = self._read(_GLANCE if self._known else log.LINES_KEPT)
        shared = _shared(found, self._known)
        if shared is None and len(found) == _GLANCE:
            found = self._read(log.LINES_KEPT)
            shared = _shared(found, self._known)
        new, known = shared or (len(found), 0)
        self._known = (found[:new] + self._known[known:])[: log.LINES_KEPT]
        return found[:new][::-1]


def _shared(found: list[bytes], known: list[bytes]) -> tuple[int, int] | None:
    """Return where in both lists, newest first, the lines begin that they share; None where they share none."""
    places: dict[bytes, list[int]] = {}
    for index, line in enumerate(found):
        places.setdefault(line, []).append(index)
    for start, line in enumerate(known):
        for index in places.get(line, ()):
            pairs = zip(found[index : index + _RUN], known[start : start + _RUN], strict=False)
            if all(one == other for one, other in pairs):
                return index, start
    return None


def followed(settings: Settings) -> Iterator[bytes]:
    """Yield the lines of the list for ever, each once; wait where Redis is away, and say so on stderr."""
    redis, complained = connect(settings), False

    def read(most: int) -> list[bytes]:
        with translate_errors():
            return cast(list[bytes], redis.lrange(settings.log_list, 0, most - 1))

    tail = Tail(read)
    while True:
        try:
            yield from tail.look()
            complained = False
        except QueueUnavailable as problem:
            if not complained:
                where = settings.redis_address()
                print(f"{where}: {problem.detail} Waiting for it ...", file=sys.stderr, flush=True)
            complained = True
        time.sleep(_LOOK_SECONDS)


def plain(line: bytes) -> str:
    """Return a line for people. Whatever strangers wrote into it, nothing of it reaches the terminal but text."""
    text = line.decode(errors="replace")
    try:
        facts = json.loads(text)
        moment = str(facts.pop("time"))[_TIME].replace("T", " ")
        first = [moment, str(facts.pop("service")).ljust(6), str(facts.pop("event"))]
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return _printable(text)
    level, trace = facts.pop("level", "info"), facts.pop("trace", "")
    if level != "info":
        first.insert(2, f"{level}:")
    said = " ".join([*first, *(f"{name}={_value(value)}" for name, value in facts.items())])
    return "\n    ".join(map(_printable, [said, *str(trace).splitlines()]))


def _value(value: object) -> str:
    return value if isinstance(value, str) and value and " " not in value else json.dumps(value, ensure_ascii=False)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def main() -> int:
    """Follow the list until Ctrl-C, or until nobody reads; return the exit status."""
    try:
        settings = Settings.from_environment()
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    for_people = sys.stdout.isatty()
    try:
        for line in followed(settings):
            sys.stdout.write(f"{plain(line) if for_people else line.decode(errors='replace')}\n")
            sys.stdout.flush()
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would try once more at the end
    return 0


if __name__ == "__main__":
    sys.exit(main())
