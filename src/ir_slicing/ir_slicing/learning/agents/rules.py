# SPDX-License-Identifier: Apache-2.0
"""Policies that learn nothing, and the bound that knows the future. All give RB [env, slice]."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ir_slicing.allocation.carrier_sharing import best_shares, share_out
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
    return margin * np.maximum(environment.need.blocks, environment.expected())


def forecast_alone(environment: SlicingEnvironment, margin: float | Floats = 1.0) -> Floats:
    """A margin, one or [slice] of them, on the forecast need, even where the present one is more."""
    return margin * environment.expected()


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
    return _best(environment, lambda choices: environment.outcome(need, choices).reward, resolution)


def foresight(environment: SlicingEnvironment, resolution: float = 0.25) -> Floats:
    """The best allocation for what slices declare that they expect (`SlicingEnvironment.declared`), likewise.

    It is told forecasts only, and learns nothing: the rule that stands beside agents which are told the same.
    """
    return _best(environment, environment.declared, resolution)


def _best(environment: SlicingEnvironment, value: Callable[[Floats], Floats], resolution: float) -> Floats:
    """[env, slice] RB with the largest sum of values; ``value``: [choice, 1, 1] RB -> [choice, env, slice]."""
    config = environment.config
    low = config.min_blocks
    units = int((config.blocks - low * environment.slices) / resolution + 1e-9)
    top = min(units, int((config.max_blocks - low) / resolution + 1e-9))
    choices = low + resolution * np.arange(top + 1)
    worth = value(np.asarray(choices[:, None, None], np.float64))
    return low + resolution * best_shares(np.ascontiguousarray(worth.transpose(1, 2, 0)), units)
