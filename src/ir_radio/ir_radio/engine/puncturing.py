# SPDX-License-Identifier: Apache-2.0
"""Puncturing, IoR section IV (3): which sub-carriers URLLC takes, and what that costs the eMBB blocks that own them.

The batch engine (`coexistence.batch_air`) counts in sub-carriers, the cell (`live_air`) in resource blocks; both use
these functions, so a new rule (which ones are taken) or a new loss model (what it costs) is written here.
"""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

from ir_radio.model.shares import MILLE

Ints = NDArray[np.int64]

IDLE = -1
"""Owner of a sub-carrier that nobody was given."""

LINEAR, THRESHOLD, CONVEX = range(3)
LOSSES = {"linear": LINEAR, "threshold": THRESHOLD, "convex": CONVEX}
ROTATE, IDLE_FIRST, BEST = range(3)
RULES = {"rotate": ROTATE, "idle_first": IDLE_FIRST, "best_channel": BEST}


@register_jitable
def choose(rule: int, usable: int, rotation: int, plan: Ints, order: Ints, count: int, chosen: Ints) -> int:
    """Chooses the sub-carriers of `count` packets, each once; returns where the next choice goes on.

    Args:
        rule: ROTATE (evenly over all), IDLE_FIRST (those without an owner, then evenly), BEST (in the given order).
        usable: how many there are, at least `count`.
        rotation: what the last choice returned.
        plan: [sub-carriers] int64, owners, IDLE where there is none.
        order: [sub-carriers] int64; the first `usable` are the usable ones.
        chosen: [sub-carriers] int64, written.
    """
    n = 0
    if rule == BEST:
        for i in range(count):  # a slice assignment would allocate
            chosen[i] = order[i]
        return rotation
    if rule == IDLE_FIRST:
        for i in range(usable):
            if n < count and plan[order[i]] == IDLE:
                chosen[n] = order[i]
                n += 1
    i = rotation % usable
    while n < count:
        if rule == ROTATE or plan[order[i]] != IDLE:
            chosen[n] = order[i]
            n += 1
        i = i + 1 if i + 1 < usable else 0
    return i


@register_jitable
def survives(loss: int, threshold: int, exponent: int, capacity: float, hit: int, whole: int) -> float:
    """Bits that a block still carries after puncturing of the share x = hit / whole; -1: it failed.

    Loss models of Anand, de Veciana, Shakkottai, INFOCOM 2018: capacity x (1 - h(x)), whole bits, with h(x) = x
    (linear) or x^exponent (convex); threshold: all up to x = threshold / 1000, else nothing.
    """
    if hit == 0 or loss == THRESHOLD:
        return -1 if hit * MILLE > threshold * whole else capacity
    lost, units = 1, 1
    for _ in range(1 if loss == LINEAR else exponent):
        lost *= hit
        units *= whole
    return capacity * (units - lost) // units
