"""What the doctor finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    WELL = "well"
    LOOK = "look"  # it works, but somebody should look at it
    WRONG = "wrong"


@dataclass(frozen=True)
class Finding:
    """`what` was looked at; the `sentence` says how it is, and what to do where that is not well."""

    what: str
    verdict: Verdict
    sentence: str


def well(what: str, sentence: str) -> Finding:
    return Finding(what, Verdict.WELL, sentence)


def look(what: str, sentence: str) -> Finding:
    return Finding(what, Verdict.LOOK, sentence)


def wrong(what: str, sentence: str) -> Finding:
    return Finding(what, Verdict.WRONG, sentence)
