"""The protocol Engine, which every engine implements, and the types of its arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from msas.formats.sample_streams import Samples as Samples

Progress: TypeAlias = Callable[[float], None]


@dataclass(frozen=True)
class MixtureStats:
    """What a first pass over the mixture found: its length in samples, mean and deviation of its mono sum."""

    length: int
    mean: float
    deviation: float


@dataclass(frozen=True)
class SeparationParams:
    """What is wanted of a separation: which stems, how segments overlap, how many shifts are averaged.

    `seed` makes the shifts' offsets: the same seed, the same result.
    """

    stems: tuple[str, ...]
    overlap: float = 0.25
    shifts: int = 0
    seed: str = ""


class NotFinite(ArithmeticError):
    """A network gave infinite samples, or such that are no numbers."""

    def __init__(self, name: str) -> None:
        super().__init__(f"samples of {name} are not finite")


class Engine(Protocol):
    """A resident model. `rate` is the sample rate in Hz that it works at, `stems` what it can yield.

    `weights` is the SHA-256 of what it was trained to, `device` and `precision` how it runs, all three for reports.
    """

    name: str
    rate: int
    stems: tuple[str, ...]
    weights: str
    device: str
    precision: str

    def separate(
        self, blocks: Iterable[Samples], stats: MixtureStats, params: SeparationParams, progress: Progress
    ) -> Iterator[tuple[Samples, Samples]]:
        """Separate a mixture that comes as `blocks` of shape (2, any) at `rate`.

        Yields, in order and without gaps, stretches of the mixture, shape (2, n), with the wanted stems, shape
        (stems, 2, n). Calls `progress` with the share that is done, 0 to 1, after each segment; what that
        raises ends the separation.
        """
        ...
