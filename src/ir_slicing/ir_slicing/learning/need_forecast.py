# SPDX-License-Identifier: Apache-2.0
"""From forecasts of the devices' traffic to what agents are told: the resource blocks (RB) that a slice will need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ir_slicing.learning.forecaster.fitting import Forecaster
from ir_slicing.learning.forecaster.quantiles import Spread
from ir_slicing.learning.slicing_environment import SlicingEnvironment

Floats = NDArray[np.float64]

LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Of the quantiles: middles of five equally likely fifths, so that a mean over them is an expectation."""


@dataclass(frozen=True)
class NeedForecast:
    """What slices are expected to need one step later, RB.

    Attributes:
        blocks: [step, env, slice] float64.
        quantiles: [step, env, slice, level] float64, at `LEVELS`.
    """

    blocks: Floats
    quantiles: Floats


def forecast_needs(
    environment: SlicingEnvironment, forecasters: Sequence[Forecaster], rates_from: int = 16, start: int = 0
) -> NeedForecast:
    """Forecast of `Need.blocks` one step ahead, made at every step from the steps before it.

    Device u is expected to need `needed_rate` of its forecast traffic, at the mean over the last steps of the rate that
    a block gave it. A quantile of the need is that of devices whose traffic is all as much more or less than forecast
    as the slice's sum is at its quantile. Before there is a window to look back on, the present need is the forecast.

    Args:
        environment: of one environment, whose slices' devices are those that the forecasters know.
        forecasters: one for each slice; their first horizon is 1.
        rates_from: steps over which the block rates are averaged.
        start: steps into a day at which the environment's traffic begins, as the forecasters were trained.

    Returns:
        for one environment.

    Raises:
        ValueError: another number of forecasters or environments, or one without the horizon 1.
    """
    if (
        environment.envs != 1
        or len(forecasters) != environment.slices
        or any(one.horizons[0] != 1 for one in forecasters)
    ):
        raise ValueError(
            f"{len(forecasters)} forecasters for {environment.slices} slices in {environment.envs} environments; "
            "one environment and a forecaster with horizon 1 for each slice are needed"
        )
    steps, window = environment.steps, max(one.window for one in forecasters)
    last = np.arange(window - 1, steps)
    traffic = environment.traffic[:, 0]
    offered = np.stack(
        [one.predict(traffic[:, m], last, start=start)[:, 0] for m, one in enumerate(forecasters)], axis=1
    ).astype(np.float64)  # [k, slice, device]
    factors = np.stack([_factors(one, offered[:, m]) for m, one in enumerate(forecasters)], axis=1)
    rates = np.stack([environment.block_rate(step)[0] for step in range(steps)])
    sums = np.cumsum(np.concatenate([np.zeros_like(rates[:1]), rates]), axis=0)
    first = np.maximum(last + 1 - rates_from, 0)
    mean = (sums[last + 1] - sums[first]) / (last + 1 - first)[:, None, None]

    def blocks(traffic: Floats) -> Floats:
        needed = environment.needed_rate(traffic)
        return np.asarray(np.divide(needed, mean, out=np.zeros_like(needed), where=mean > 0.0).sum(axis=-1))

    early = np.reshape([environment.need_at(step).blocks[0] for step in range(window - 1)], (window - 1, -1))
    spread = [np.concatenate([early, blocks(offered * factors[:, :, i, None])]) for i in range(len(LEVELS))]
    return NeedForecast(np.concatenate([early, blocks(offered)])[:, None], np.stack(spread, axis=-1)[:, None])


def _factors(forecaster: Forecaster, offered: Floats) -> Floats:
    """[k, level]: quantiles of the slice's sum one step ahead, over its forecast; from [k, device] bit/s."""
    total = np.maximum(offered.sum(axis=-1), 1e-9)
    return cast(Spread, forecaster.slice_spread).at(total[:, None], LEVELS)[:, 0] / total[:, None]
