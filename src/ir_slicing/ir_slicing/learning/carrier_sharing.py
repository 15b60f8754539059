# SPDX-License-Identifier: Apache-2.0
"""Max-min fair division of a carrier that is too small for all requests."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def share_out(need: Floats, weight: Floats, carrier: float) -> Floats:
    """Weighted max-min fair shares: nobody gets more than it needs, the rest is in proportion to the weights.

    Args:
        need: [env, slice] float, RB.
        weight: [env, slice] or [slice] float, positive.
        carrier: RB.

    Returns:
        [env, slice] float64; sums to the carrier, or to the needs where these are less.
    """
    weight = np.broadcast_to(weight, need.shape)
    order = np.argsort(need / weight, axis=-1)
    wanted, by = np.take_along_axis(need, order, -1), np.take_along_axis(weight, order, -1)
    given = np.empty_like(wanted)
    left, weights = np.full(need.shape[0], carrier), by.sum(axis=-1)
    for i in range(need.shape[1]):  # the one that is filled first, then the next
        given[:, i] = np.minimum(wanted[:, i], left * by[:, i] / weights)
        left, weights = left - given[:, i], np.maximum(weights - by[:, i], 1e-12)
    out = np.empty_like(given)
    np.put_along_axis(out, order, given, -1)
    return out
