# SPDX-License-Identifier: Apache-2.0
"""Windows of a slice's traffic as the forecasters' networks take them: normalised, with its logarithm and the clock."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ir_slicing.learning.forecaster.seasonal_adjustment import SeasonalAdjustment

Floats = NDArray[np.float32]

CHANNELS = 4
"""Z: traffic, its logarithm, in which bursts do not drown the rest, and sine and cosine of the time of day."""

LOG_FLOOR = 0.05
"""Added to traffic / mean under the logarithm, so that an idle device has one."""


@dataclass(frozen=True)
class Scale:
    """Mean and deviation over the training part of each device's traffic over its level and day; [device] float32.

    Where nothing is divided out (`SeasonalAdjustment.none`) they are bit/s.
    """

    mean: Floats
    deviation: Floats

    @classmethod
    def of(cls, traffic: Floats) -> Scale:
        """From [step, device]; a device that never changes has deviation 1."""
        deviation = traffic.std(axis=0)
        return cls(traffic.mean(axis=0), np.where(deviation > 0.0, deviation, 1.0).astype(np.float32))

    @classmethod
    def adjusted(cls, traffic: Floats, adjustment: SeasonalAdjustment) -> Scale:
        """From [step, device] bit/s that begins with a day."""
        ratio = traffic / adjustment.levels(traffic, 0) / adjustment.at(np.arange(len(traffic)))
        return cls.of(ratio.astype(np.float32))


class Windows:
    """Windows of a slice's traffic as the networks take them.

    All steps of a window are over the level known at its last one.

    Args:
        traffic: [step, device] float, bit/s.
        scale: of the training part.
        window: T.
        horizons: steps ahead.
        day: steps of a day.
        adjustment: what is divided out; nothing without it.
        start: steps into a day at which the traffic begins.
        day_before: a channel more, which shows at place s what was a day before s + the last horizon.
    """

    def __init__(
        self, traffic: Floats, scale: Scale, window: int, horizons: tuple[int, ...], day: int,
        adjustment: SeasonalAdjustment | None = None, start: int = 0, day_before: bool = False,
    ) -> None:  # fmt: skip
        self.window, self.horizons, self.start = window, horizons, start
        self._ago = day - horizons[-1] if day_before else 0
        self.adjustment = adjustment or SeasonalAdjustment.none(traffic.shape[1], day)
        steps = start + np.arange(len(traffic))
        self._relative = torch.from_numpy((traffic / self.adjustment.at(steps)).astype(np.float32))
        self._levels = torch.from_numpy(self.adjustment.levels(traffic, start).astype(np.float32))
        self._mean, self._deviation = torch.from_numpy(scale.mean), torch.from_numpy(scale.deviation)
        phase = 2.0 * np.pi * torch.from_numpy(steps % day) / day
        self._clock = torch.stack([torch.sin(phase), torch.cos(phase)]).float()[:, :, None]

    def inputs(self, last: NDArray[np.integer]) -> Tensor:
        """[batch, Z, T, device]: the windows that end with the steps ``last`` [batch]."""
        steps = torch.from_numpy(np.asarray(last)[:, None] - np.arange(self.window - 1, -1, -1))
        ratio = self._ratio(last, steps)
        mean = torch.where(self._mean > 0.0, self._mean, 1.0)
        level = torch.log(ratio / mean + LOG_FLOOR)
        clock = self._clock[:, steps].expand(-1, -1, -1, ratio.shape[2])
        channels = [self._normal(ratio)[None], level[None], clock]
        if self._ago:
            shown = self._normal(self._ratio(last, (steps - self._ago).clamp_min(0)))
            channels.append(torch.where(steps[:, :, None] >= self._ago, shown, 0.0)[None])
        return torch.cat(channels).transpose(0, 1)

    def targets(self, last: NDArray[np.integer]) -> Tensor:
        """[batch, horizon, device]: what follows."""
        steps = torch.from_numpy(np.asarray(last)[:, None] + np.array(self.horizons))
        return self._normal(self._ratio(last, steps))

    def unit(self, last: NDArray[np.integer]) -> Tensor:
        """[batch, horizon, device] bit/s: what 1 means in a forecast made at the steps ``last``."""
        return self._deviation * self._expected(last)

    def traffic(self, normal: Tensor, last: NDArray[np.integer]) -> Tensor:
        """Forecasts [batch, horizon, device] of a network in bit/s, not negative."""
        return ((normal * self._deviation + self._mean) * self._expected(last)).clamp_min(0.0)

    def _ratio(self, last: NDArray[np.integer], steps: Tensor) -> Tensor:
        """[batch, k, device]: traffic of the steps [batch, k] over their profile and the level at ``last``."""
        return self._relative[steps] / self._levels[torch.from_numpy(np.asarray(last))][:, None]

    def _normal(self, ratio: Tensor) -> Tensor:
        return (ratio - self._mean) / self._deviation

    def _expected(self, last: NDArray[np.integer]) -> Tensor:
        """L(t) P(t + h): [batch, horizon, device] bit/s."""
        ahead = self.adjustment.at(self.start + np.asarray(last)[:, None] + np.array(self.horizons))
        return self._levels[torch.from_numpy(np.asarray(last))][:, None] * torch.from_numpy(ahead.astype(np.float32))
