"""The result of one check: its verdict, and a sentence that says what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"  # it works, but an operator should look at it
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """`check` names the check; `message` says what was found, and what to do unless the verdict is OK."""

    check: str
    verdict: Verdict
    message: str


def ok(check: str, message: str) -> Finding:
    return Finding(check, Verdict.OK, message)


def warning(check: str, message: str) -> Finding:
    return Finding(check, Verdict.WARNING, message)


def error(check: str, message: str) -> Finding:
    return Finding(check, Verdict.ERROR, message)
