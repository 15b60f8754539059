# SPDX-License-Identifier: Apache-2.0
"""Division of a carrier that is too small for all requests: max-min fair, or by what it is worth to the slices."""

from __future__ import annotations

import numba
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


@numba.njit(cache=True)
def best_shares(value: Floats, units: int) -> NDArray[np.int64]:  # pragma: no cover (compiled)
    """The choices of the largest value in sum among those whose sum is at most ``units``: a knapsack, exact.

    best_m(j) = max over k of best_{m-1}(j - k) + V_m(k), for slices m, with values V_m(k) of any shape.

    Args:
        value: [env, slice, choice] float64; -inf: not to be chosen. The first choice of each slice must be finite.
        units: the sum that there is.

    Returns:
        [env, slice] int64, choices.
    """
    envs, slices, choices = value.shape
    out = np.empty((envs, slices), np.int64)
    taken = np.empty((slices, units + 1), np.int64)
    for env in range(envs):
        before = np.zeros(units + 1)
        for m in range(slices):
            best = np.full(units + 1, -np.inf)
            for j in range(units + 1):
                for k in range(min(j, choices - 1) + 1):
                    candidate = before[j - k] + value[env, m, k]
                    if candidate > best[j]:
                        best[j], taken[m, j] = candidate, k
            before = best
        left = int(np.argmax(before))
        for m in range(slices - 1, -1, -1):
            out[env, m] = taken[m, left]
            left -= taken[m, left]
    return out
