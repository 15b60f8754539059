# SPDX-License-Identifier: Apache-2.0
"""Parameters of the slice manager."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from ir_common.config import live
from ir_slicing.allocation.agent_requests import TrustConfig
from ir_slicing.allocation.division import Overload
from ir_slicing.allocation.slice_policies import PolicyName
from ir_slicing.learning.agent_weights import TRAINED
from ir_slicing.live.need_config import NeedConfig


class ManagerConfig(TrustConfig, NeedConfig):
    """Parameters of the slice manager."""

    slices_file: Path = Field(description="slices file: carrier, templates and initial slices")
    state_file: Path | None = Field(
        None, description="templates, slices and learnt weights, kept there over a restart; empty: nowhere"
    )
    weights_file: Path = Field(TRAINED, description="what the agents' weights are before the first round: an NPZ file")
    keys_file: Path | None = Field(
        None, description="master key of the slices, by which their updates are checked; empty: nobody signs"
    )
    federation_period: float = Field(
        20.0, ge=0.1, le=86400, description="tau of MAFL: time between two federated rounds, s of ROS time"
    )
    federation_timeout: float = Field(
        2.0, ge=0.1, le=600, description="a round is closed after so long without the updates that are missing, s"
    )
    aggregation: Literal["mean", "trimmed_mean"] = Field(
        "mean", description="eq. (19) of MAFL, or of each weight the mean without its largest and smallest changes"
    )
    norm_bound: float = Field(
        5.0, ge=0, description="an update longer than this times the round's median is an outlier; 0: no bound"
    )
    policy: PolicyName = Field(
        "proportional",
        description="who says what slices need: their measured demand, forecasts, agents, or (static) their guarantees",
    )
    overload: Overload = Field(
        "proportional",
        description="demand beyond the guarantees that does not fit the carrier: shared in proportion, or so that the "
        "slices' utilities have the largest sum, which serves some and not others",
    )
    allocation_period: float = Field(0.2, ge=0.01, le=60.0, description="time between decisions, s of ROS time")
    reference_distance: float = Field(
        20.0, gt=0.0, description="until links report, a block carries what it carries at this distance, m"
    )
    urllc_margin: float = Field(
        0.25, ge=0.0, le=10.0, description="added to guaranteed rates of URLLC slices, fraction"
    )
    reserve: float = live(
        0.1, ge=0.0, le=1.0, description="part of its guarantee that an eMBB slice keeps when idle, fraction"
    )
    headroom: float = live(1.2, ge=1.0, le=10.0, description="demand is taken as this times the offered rate")
    drain_time: float = live(0.1, gt=0.0, le=60.0, description="demand makes room to empty the queues in this time, s")
    demand_time_constant: float = live(1.0, gt=0.0, le=60.0, description="of the low pass of offered rates, s")
    hysteresis: float = live(
        0.1, ge=0.0, le=1.0, description="an allocation stays while no slice's differs by more than this fraction"
    )

    @field_validator("state_file", "keys_file", mode="before")
    @classmethod
    def _no_file(cls, value: Any) -> Any:
        return value or None

    @field_validator("state_file")
    @classmethod
    def _has_folder(cls, path: Path | None) -> Path | None:
        if path is not None and not path.absolute().parent.is_dir():
            raise ValueError(f"the folder of {path} does not exist; make it first")
        return path
