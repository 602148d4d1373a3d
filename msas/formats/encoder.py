"""The protocol Encoder, which every format implements, and the conversion of floats to integers."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from msas.formats.samples import Samples


class Encoder(Protocol):
    """Encodes one stem, front to back: `begin`, any number of times `encode`, `end`; each gives the next bytes.

    Made for a known number of samples, so that the header needs no correction once the stem has ended.
    `clipped` counts the samples that lay beyond what the format can hold; `frame` is how many samples the format
    can only encode together.
    """

    clipped: int
    frame: int

    def begin(self) -> bytes: ...

    def encode(self, samples: Samples) -> bytes:
        """Encode samples of shape (2, n), full scale at 1."""
        ...

    def end(self) -> bytes: ...

    def starts(self, slice_samples: int) -> list[int]:
        """Return the byte at which each slice of so many samples, whole frames, begins; known at the stem's end.

        An MP3's decoders give samples back 1105 later than the frame that holds them begins.
        """
        ...

    def close(self) -> None:
        """Free what the encoder holds, whether it came to its end or not."""
        ...


def quantise(samples: Samples, bits: int) -> tuple[NDArray[np.int32], int]:
    """Round to integers of `bits` bits, shape (n, 2); return them and how many had to be clipped."""
    scaled = np.rint(samples.T.astype(np.float64) * 2.0 ** (bits - 1))
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    # A wave that just touches full scale loses one step of 2^bits at its top: no clipping worth telling.
    clipped = int(np.count_nonzero((scaled < low) | (scaled > high + 1)))
    integers: NDArray[Any] = scaled.clip(low, high).astype(np.int32)
    return integers, clipped
