"""A model of how jobs wait: in the list, in owners' lines, and parked; and of the turns in which they are taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

Name = tuple[str, str]  # of a parked line: model and owner


@dataclass
class LinesModel:
    """A number stands for a message in the list, and for a songhash in a line."""

    line: list[int] = field(default_factory=list)  # the list, of which the last is taken next
    lines: dict[str, list[int]] = field(default_factory=dict)  # by owner; the first is taken next
    ring: dict[str, int] = field(default_factory=dict)  # owners and their turns; the lowest comes next
    parked: dict[Name, list[int]] = field(default_factory=dict)
    parked_ring: dict[Name, int] = field(default_factory=dict)
    fed: int | None = None  # the turn of what was moved from a line to the list
    turns: int = 0
    last_turn: int = 0  # of the owner whose job was popped last

    def pop_next(self, is_moved: bool) -> int:
        """Remove and return the message whose turn it is. What was moved from a line to the list comes first."""
        found = [] if is_moved else self._pop_from_owners()
        if found:
            return found[0]
        if not is_moved:
            self.ring[""] = self._next_turn()
        return self.line.pop()

    def _pop_from_owners(self) -> list[int]:
        """Remove and return the next owner's first job; none where the list has its turn before."""
        for owner in sorted(self.ring, key=self.ring.__getitem__):
            if owner == "" and self.line:
                return []
            line = self.lines.get(owner, [])
            found, line[:1] = line[:1], []
            self.last_turn = self.ring[owner]
            if line:
                self.ring[owner] = self._next_turn()
            else:
                del self.ring[owner]
            if found:
                return found
        return []

    def refill_queue(self) -> None:
        """Move an owner's job to the list where the list is empty."""
        if not self.line:
            self.line = self._pop_from_owners()
            if self.line:
                self.fed = self.last_turn

    def join_ring(self, owner: str) -> None:
        if owner not in self.ring:
            self.ring[owner] = self._next_turn()

    def has_turn_before_parked(self, is_moved: bool, name: Name) -> bool:
        """Say whether the list and the owners' lines have their turn before the parked line."""
        turn = self.fed if is_moved and self.fed is not None else min(self.ring.values())
        return turn < self.parked_ring[name]

    def put_parked(self, name: Name, number: int, at_head: bool) -> None:
        line = self.parked.setdefault(name, [])
        if number not in line:
            line.insert(0 if at_head else len(line), number)
        self.parked_ring.setdefault(name, self._next_turn())

    def take_parked(self, name: Name, number: int) -> None:
        """Remove the job from the parked line, if it is there."""
        self.parked[name] = [each for each in self.parked.get(name, []) if each != number]
        if not self.parked[name]:
            del self.parked[name]
            self.parked_ring.pop(name, None)

    def next_parked(self, may_run: Callable[[int], bool]) -> tuple[Name, int] | None:
        """Return the parked line whose turn is next among those with such a job, and its first such job."""
        for name in sorted(self.parked_ring, key=self.parked_ring.__getitem__):
            for number in self.parked[name]:
                if may_run(number):
                    return name, number
        return None

    def end_parked_turn(self, name: Name) -> None:
        self.parked_ring[name] = self._next_turn()

    def _next_turn(self) -> int:
        self.turns += 1
        return self.turns
