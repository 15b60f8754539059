# SPDX-License-Identifier: Apache-2.0
"""Policies that learn nothing, and the bound that knows the future. All give RB [env, slice]."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from ir_slicing.learning.carrier_sharing import share_out
from ir_slicing.learning.slicing_environment import Need, SlicingEnvironment

Floats = NDArray[np.float64]


def equal(environment: SlicingEnvironment) -> Floats:
    """Static equal shares."""
    return np.full(environment.blocks.shape, environment.config.blocks / environment.slices)


def proportional(environment: SlicingEnvironment) -> Floats:
    """The whole carrier in proportion to what the slices need now."""
    need = environment.need.blocks
    return need / need.sum(axis=-1, keepdims=True) * environment.config.blocks


def forecast(environment: SlicingEnvironment, margin: float = 1.0) -> Floats:
    """The slice policy forecast: a margin on the present need or the forecast one, whichever is more.

    Args:
        environment: what it looks at; without a forecast the present need is all there is.
        margin: dimensionless.
    """
    return margin * np.maximum(environment.need.blocks, expected(environment))


def expected(environment: SlicingEnvironment) -> Floats:
    """RB that the slices are expected to need in the next step: their forecast, or without one what they need now."""
    if environment.forecast is None:
        return environment.need.blocks
    return np.maximum(environment.forecast[environment.step_index], environment.config.min_blocks)


def nvs(environment: SlicingEnvironment, reserved: Floats) -> Floats:
    """NVS (Kokku et al., 2012), the paper's Netshare: every slice has a reserved share of the carrier, and what one
    does not use goes to those that have more to send, in proportion to their reservations.

    NVS schedules frame by frame; here it acts once a period, on the needs of the last one, as every policy does.

    Args:
        environment: what it looks at.
        reserved: [env, slice] or [slice] float, shares, positive; they are scaled to a sum of 1.
    """
    return share_out(environment.need.blocks, reserved, environment.config.blocks)


def clairvoyant(environment: SlicingEnvironment, need: Need, resolution: float = 0.25) -> Floats:
    """The best allocation there is for a need: problem (7) over all slices, by dynamic programming.

    The reward of a slice depends on its own blocks only, so with V_m(k) the reward of k units
    best_m(j) = max over k of best_{m-1}(j - k) + V_m(k) is exact on the grid, although V_m is not concave. It knows the
    next need and may move any number of blocks in one step, which no agent does: an upper bound, up to the grid.

    Args:
        environment: whose `outcome` is maximised.
        need: of the step that the allocation is for.
        resolution: unit of the grid, RB.

    Returns:
        [env, slice] float64, RB; at least `min_blocks` each.
    """
    config = environment.config
    low = config.min_blocks
    units = int((config.blocks - low * environment.slices) / resolution + 1e-9)
    top = min(units, int((config.max_blocks - low) / resolution + 1e-9))
    choices = low + resolution * np.arange(top + 1)
    value = environment.outcome(need, np.asarray(choices[:, None, None], np.float64)).reward  # [choice, env, slice]
    units_each = _best_choices(np.ascontiguousarray(value.transpose(1, 2, 0)), units)
    return low + resolution * units_each


@numba.njit(cache=True)
def _best_choices(value: Floats, units: int) -> NDArray[np.int64]:  # pragma: no cover (compiled)
    """[env, slice, choice] values -> [env, slice] choices of the largest value whose sum is at most ``units``."""
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
