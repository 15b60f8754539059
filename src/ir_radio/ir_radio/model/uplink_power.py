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
    target: float = Field(-90.0, ge=-300, le=300, description="P0: received power aimed at, of 180 kHz, dBm")
    alpha: float = Field(1.0, ge=0, le=1, description="part of the path loss that a terminal makes up for")
    blocks: int = Field(
        10,
        ge=1,
        le=100_000,
        description="resource blocks over which it spreads its greatest power; with access those that it is granted",
    )
    noise_rise: float = Field(0.0, ge=0, le=300, description="interference over thermal noise at base stations, dB")

    def block_power(self, loss: ArrayLike, spacing: float, blocks: float) -> NDArray[np.float64]:
        """Power in a resource block: min(P_max - 10 log10 M, P0 + 10 log10 2^mu + alpha PL).

        Args:
            loss: [...] path losses PL, dB.
            spacing: of sub-carriers, 2^mu times 15 kHz, Hz.
            blocks: M, that the terminal sends on at once.

        Returns:
            [...] dBm.
        """
        aimed = self.target + 10.0 * np.log10(spacing / 15e3) + self.alpha * np.asarray(loss, np.float64)
        return np.minimum(self.max_power - 10.0 * np.log10(blocks), aimed)
