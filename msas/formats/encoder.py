"""The protocol Encoder, which every format implements, and the conversion of floats to integers."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from msas.formats.sample_streams import Samples


class Encoder(Protocol):
    """Encodes one stem: call `begin`, `encode` any number of times, then `end`; each returns the next bytes.

    Made for a known number of samples, so that the header needs no correction once the stem has ended.
    `clipped` counts the samples that lay beyond what the format can hold; `frame` is how many samples the format
    can only encode together.
    """

    clipped: int
    frame: int

    def begin(self) -> bytes: ...

    def encode(self, samples: Samples) -> bytes:
        """Encode samples of shape (2, n); full scale is 1."""
        ...

    def end(self) -> bytes: ...

    def starts(self, slice_samples: int) -> list[int]:
        """Return the byte at which each slice of so many samples (whole frames) begins; only after `end`.

        An MP3's decoders give samples back 1105 later than the frame that holds them begins.
        """
        ...

    def close(self) -> None:
        """Free the encoder's memory, also before its end."""
        ...


def quantise(samples: Samples, bits: int) -> tuple[NDArray[np.int32], int]:
    """Round to integers of `bits` bits, shape (n, 2); return them and the number of clipped samples."""
    scaled = np.rint(samples.T.astype(np.float64) * 2.0 ** (bits - 1))
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    # A sample at full scale loses one step of 2^bits, which does not count as clipped.
    clipped = int(np.count_nonzero((scaled < low) | (scaled > high + 1)))
    integers: NDArray[Any] = scaled.clip(low, high).astype(np.int32)
    return integers, clipped
