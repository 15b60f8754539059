# SPDX-License-Identifier: Apache-2.0
"""Power of terminals: keys of `carrier.uplink` (docs/method/channel.md#uplink)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from ir_common.config import Config


class UplinkPower(Config):
    """Open-loop power control of the uplink, 3GPP TS 38.213, 7.1.1."""

    max_power: float = Field(23.0, ge=-300, le=300, description="of a terminal (power class 3), dBm")
    target: float = Field(-90.0, ge=-300, le=300, description="P0: received power of a resource block aimed at, dBm")
    alpha: float = Field(1.0, ge=0, le=1, description="part of the path loss that a terminal makes up for")
    blocks: int = Field(10, ge=1, le=100_000, description="resource blocks over which it spreads its greatest power")
    noise_rise: float = Field(0.0, ge=0, le=300, description="interference over thermal noise at base stations, dB")

    def block_power(self, loss: ArrayLike) -> NDArray[np.float64]:
        """Power in a resource block at path losses [...], dB: min(P_max - 10 log10 M, P0 + alpha PL); [...] dBm."""
        aimed = self.target + self.alpha * np.asarray(loss, np.float64)
        return np.minimum(self.max_power - 10.0 * np.log10(self.blocks), aimed)
