"""The one protocol that every engine follows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Samples: TypeAlias = NDArray[np.float32]
Progress: TypeAlias = Callable[[float], None]


class Engine(Protocol):
    """A resident model. `rate` is the sample rate in Hz that it works at, `stems` what it yields."""

    name: str
    rate: int
    stems: tuple[str, ...]

    def separate(self, mixture: Samples, progress: Progress) -> dict[str, Samples]:
        """Return each stem's samples, shape (2, n) as the mixture's.

        Calls `progress` with the share that is done, 0 to 1, after each segment; what that raises
        ends the separation.
        """
        ...
