"""A model of how jobs wait: in the list and in their owners' lines; and of the turns in which they are taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class LinesModel:
    """A number stands for a message in the list, and for a songhash in a line."""

    line: list[int] = field(default_factory=list)  # the list, of which the last is taken next
    lines: dict[str, list[int]] = field(default_factory=dict)  # by owner; the first is taken next
    ring: list[str] = field(default_factory=list)  # owners; the first has the turn

    def pop_next(self, is_owned: Callable[[int], object]) -> list[int]:
        """Remove and return the message whose turn it is. What was moved from a line to the list comes first."""
        if not self.line:
            return []
        self.join_ring("")
        is_moved = bool(is_owned(self.line[-1]))
        found = [] if is_moved else self._pop_owned()
        if not found:
            if not is_moved:
                self._end_turn("")
            found = [self.line.pop()]
            self.feed()
        return found

    def _pop_owned(self) -> list[int]:
        """Remove and return the next owner's first job; none where the list has its turn before."""
        for owner in list(self.ring):
            if owner == "" and self.line:
                return []
            line = self.lines.get(owner, [])
            found, line[:1] = line[:1], []
            if line:
                self._end_turn(owner)
            else:
                self.ring.remove(owner)
            if found:
                return found
        return []

    def feed(self) -> None:
        """Move an owner's job to the list where the list is empty."""
        if not self.line:
            self.line = self._pop_owned()

    def join_ring(self, owner: str) -> None:
        if owner not in self.ring:
            self.ring.append(owner)

    def _end_turn(self, owner: str) -> None:
        self.ring.remove(owner)
        self.ring.append(owner)
