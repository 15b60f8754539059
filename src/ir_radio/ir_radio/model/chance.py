# SPDX-License-Identifier: Apache-2.0
"""Draws that belong to what they are about, whoever asks and when: so batch and live agree, and seeds repeat runs."""

from __future__ import annotations

import numpy as np

from ir_radio.compiled import jit


@jit
def uniform(seed: int, what: int, when: int) -> float:
    """The draw in (0, 1) that belongs to three integers: two rounds of SplitMix64.

    Args:
        seed: int64, of the run.
        what: int64, number of what the draw is about: a message, a link, a queue.
        when: int64, such as a time in ns.
    """
    z = (
        np.uint64(seed)
        + np.uint64(what) * np.uint64(0xD1B54A32D192ED03)
        + np.uint64(when) * np.uint64(0x9E3779B97F4A7C15)
    )
    for _ in range(2):
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (np.float64(z >> np.uint64(11)) + 0.5) * 2.0**-53
