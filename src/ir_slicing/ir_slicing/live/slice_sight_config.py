# SPDX-License-Identifier: Apache-2.0
"""Parameters of what is seen of a live slice, and of how its need is reckoned."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ir_common.config import Config


class SliceSightConfig(Config):
    """What shapes need and reward; as in `EnvironmentConfig`."""

    action: Literal["correction", "relative"] = Field(
        "correction",
        description="agents correct the request of the policy forecast, or change their own blocks, as in the paper",
    )
    base_margin: float = Field(
        1.15, ge=1, le=10, description="correction: of the request that is corrected, on the expected need"
    )
    max_correction: float = Field(0.3, gt=0, le=9, description="correction: the largest one, of that request")
    max_change: float = Field(9.0, gt=0, le=9, description="relative: largest gain in one step, of its own blocks")
    min_blocks: float = Field(0.25, gt=0, description="it never asks for less, RB")
    steepness: float = Field(20.0, gt=0, description="of the satisfaction curve, relative to the bound")
    target: float = Field(0.95, gt=0.5, lt=1, description="satisfaction that counts as the need being met")
    utilisation_weight: float = Field(0.5, ge=0, description="Lambda of eq. (14)")
    utility_weight: float = Field(0.5, ge=0, description="mu of eq. (14)")
    missed_weight: float = Field(4.0, ge=0, description="taken off (14) in a period in which the bound was missed")
    others_weight: float = Field(
        4.0, ge=0, description="taken off (14), times the share of the others that missed theirs"
    )
    demand_time_constant: float = Field(1.0, gt=0, le=60, description="of the low pass of offered rates, s")
    drain_time: float = Field(0.1, gt=0, le=60, description="the need makes room to empty what is late in this time, s")
