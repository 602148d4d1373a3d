"""The table of all cases, which the tests and the page beside this file share."""

from __future__ import annotations

from tests.api.corpus.bodies import FORMS, JSON, OPTIONS
from tests.api.corpus.carried import CARRIED, SAMPLES
from tests.api.corpus.case import Case
from tests.api.corpus.damaged import DAMAGED, LYING
from tests.api.corpus.no_songs import CUT_SHORT, NO_SONGS
from tests.api.corpus.wires import HTTP, NAMES, PATHS

TABLE: dict[str, list[Case]] = {
    "Files that are no songs": NO_SONGS,
    "Songs that end too soon": CUT_SHORT,
    "Songs with damage": DAMAGED,
    "Headers that do not say what is": LYING,
    "Tags and covers": CARRIED,
    "Samples": SAMPLES,
    "JSON": JSON,
    "Forms and sizes": FORMS,
    "Options": OPTIONS,
    "Requests that break HTTP's rules": HTTP,
    "Paths": PATHS,
    "Names": NAMES,
}
CASES: list[Case] = [case for cases in TABLE.values() for case in cases]

_INTRODUCTION = """# Bad input

What comes of songs and requests that are not as they should be: {number} cases. `tests/api/test_bad_input.py` sends
each of them to the running service and compares; after all of them the same processes separate a good song, and nothing
is left behind. This page is written from the same table: `python -m tests.api.corpus > tests/api/corpus/README.md`.
`python -m tests.api.corpus FOLDER` writes the songs and the requests out as files, made from real sound, the same every
time; a request can be sent with `nc localhost 5000 < FILE`.

Every refusal is `application/problem+json` with a sentence that says what was wrong and what to do, and a `code`
that never changes. The service under test takes 20 MB and 180 minutes.
"""


def page() -> str:
    """Return the table as Markdown."""
    parts = [_INTRODUCTION.format(number=len(CASES))]
    for title, cases in TABLE.items():
        rows = "".join(f"| {_cell(case.name)} | {case.sent} | {_cell(str(case.outcome))} |\n" for case in cases)
        parts.append(f"## {title}\n\n| what comes | sent as | answer |\n|---|---|---|\n{rows}")
    return "\n".join(parts)


def _cell(text: str) -> str:
    return (text[:1].upper() + text[1:]).replace("|", "\\|")
