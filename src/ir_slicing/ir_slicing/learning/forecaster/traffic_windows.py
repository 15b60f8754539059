# SPDX-License-Identifier: Apache-2.0
"""Windows of a slice's traffic as the forecasters' networks take them: normalised, with its logarithm and the clock."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float32]

CHANNELS = 4
"""Z: traffic, its logarithm, in which bursts do not drown the rest, and sine and cosine of the time of day."""

LOG_FLOOR = 0.05
"""Added to traffic / mean under the logarithm, so that an idle device has one."""


@dataclass(frozen=True)
class Scale:
    """Mean and deviation of each device over the training part; [device] float32."""

    mean: Floats
    deviation: Floats

    @classmethod
    def of(cls, traffic: Floats) -> Scale:
        """From [step, device]; a device that never changes has deviation 1."""
        deviation = traffic.std(axis=0)
        return cls(traffic.mean(axis=0), np.where(deviation > 0.0, deviation, 1.0).astype(np.float32))


class Windows:
    """Windows of a slice's traffic as the networks take them.

    Args:
        traffic: [step, device] float, bit/s.
        scale: of the training part.
        window: T.
        horizons: steps ahead.
        day: steps of a day.
    """

    def __init__(self, traffic: Floats, scale: Scale, window: int, horizons: tuple[int, ...], day: int) -> None:
        normal = torch.from_numpy(((traffic - scale.mean) / scale.deviation).astype(np.float32))
        mean = np.where(scale.mean > 0.0, scale.mean, 1.0)
        level = torch.from_numpy(np.log(traffic / mean + LOG_FLOOR).astype(np.float32))
        phase = 2.0 * np.pi * torch.arange(len(normal)) / day
        clock = torch.stack([torch.sin(phase), torch.cos(phase)])[:, :, None].expand(-1, -1, normal.shape[1])
        self.channels = torch.cat([normal[None], level[None], clock])  # [Z, step, device]
        self.window, self.horizons = window, horizons

    def inputs(self, last: NDArray[np.integer]) -> Tensor:
        """[batch, Z, T, device]: the windows that end with the steps ``last`` [batch]."""
        steps = torch.from_numpy(np.asarray(last)[:, None] - np.arange(self.window - 1, -1, -1))
        return self.channels[:, steps].transpose(0, 1)

    def targets(self, last: NDArray[np.integer]) -> Tensor:
        """[batch, horizon, device]: what follows."""
        return self.channels[0][torch.from_numpy(np.asarray(last)[:, None] + np.array(self.horizons))]
