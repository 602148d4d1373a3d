"""Songs with a new songhash at each call."""

from __future__ import annotations

import itertools

import numpy as np

from tests.support.audio import RATE, Wave, true_waves

_numbers = itertools.count(1)


def unseen_song(wave: Wave) -> Wave:
    """Return the wave a little softer than at the call before, so that its songhash is new."""
    return wave * np.float32(0.99 ** next(_numbers))


def short_unseen_song() -> Wave:
    """Return a new song of a quarter of a second.

    Its 88 kB fit into the socket buffers of any system, so the browser has sent it even while REST is stopped.
    """
    return unseen_song(true_waves()["mixture"][:, RATE : RATE + RATE // 4])
