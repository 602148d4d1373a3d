"""What a case of bad input is: the bytes that go over the connection, and what must come of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Make = Callable[[], bytes]


@dataclass(frozen=True)
class Refused:
    """Answered at once with a problem."""

    status: int
    code: str

    def __str__(self) -> str:
        return f"{self.status} `{self.code}`"


@dataclass(frozen=True)
class Fails:
    """Taken; then the job fails, for good, with this code."""

    code: str

    def __str__(self) -> str:
        return f"200, then `failed` with `{self.code}`"


@dataclass(frozen=True)
class Separated:
    """Taken and separated: stems of `least` to `most` seconds (the same where None), each sample a number.

    `named` is what the song is called in the downloads' file names, where that is the question.
    """

    least: float
    most: float | None = None
    named: str | None = None

    @property
    def longest(self) -> float:
        return self.least if self.most is None else self.most

    def __str__(self) -> str:
        if self.named is not None:
            return f"200, separated; its stems are called `{self.named or '(hash)'}-...`"
        length = f"{self.least:.3g}" if self.most is None else f"{self.least:.3g} to {self.most:.3g}"
        return f"200, separated: {length} s"


@dataclass(frozen=True)
class Closed:
    """Given no answer, for it was no request: the connection is closed."""

    def __str__(self) -> str:
        return "connection closed"


Outcome = Refused | Fails | Separated | Closed


@dataclass(frozen=True)
class Case:
    """One case. `name` says what it is, `sent` how it comes, `wire` makes what goes over the connection.

    `file` makes the song alone, where there is one, and `suffix` is its file name's end.
    """

    name: str
    sent: str
    outcome: Outcome
    wire: Make
    file: Make | None = None
    suffix: str = ""
