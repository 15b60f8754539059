# SPDX-License-Identifier: Apache-2.0
"""How eMBB and URLLC share a base station: keys of `carrier` in `config/slices.yaml` (docs/method/coexistence.md)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ir_common.config import Config
from ir_radio.model.shares import MILLE

LossModel = Literal["linear", "threshold", "convex"]


class Puncturing(Config):
    """What the cell and the batch engine (`coexistence.scenario`) have in common."""

    packets_per_minislot: int = Field(8, ge=1, le=10**6, description="M: most URLLC packets of a mini-slot")
    loss: LossModel = Field("linear", description="what puncturing costs an eMBB block (Anand et al. 2018)")
    loss_threshold: int = Field(
        500, ge=0, le=MILLE, description="threshold model: punctured share that is survived, 1/1000"
    )
    loss_exponent: int = Field(2, ge=1, le=4, description="convex model: the lost share is x^exponent")
    retransmissions: int = Field(
        3, ge=0, le=10**6, description="of an eMBB block that failed, before its oldest job is dropped"
    )
    epsilon: float = Field(1e-5, gt=0, lt=1, description="error probability up to which URLLC is sent")


class Air(Puncturing):
    """Scheduling of the air, IoR section IV (3)."""

    scheduler: Literal["reserved", "puncturing", "putd", "euad", "fifo"] = Field(
        "reserved",
        description="reserved: each slice on blocks of its own; else IoR's scheme and those it is held against",
    )
    outage_after: int = Field(
        2,
        ge=0,
        le=10**9,
        description="mini-slots in which a URLLC message can go, then it is dropped; 0: any; putd, euad: 1",
    )
    puncture: Literal["idle_first", "rotate"] = Field(
        "idle_first", description="URLLC takes blocks that nobody has in this slot first, or all evenly"
    )
    block_error: float = Field(
        0.0, ge=0, lt=1, description="probability that an eMBB block is not decoded; not under reserved"
    )

    police: bool = Field(
        False,
        description="a URLLC slice takes at most its rate from others' blocks, in bursts of a latency bound's bits",
    )

    @property
    def patience(self) -> int:
        """Mini-slots in which a URLLC message can go; 0: any number."""
        return 1 if self.scheduler in ("putd", "euad") else self.outage_after


class Computing(Config):
    """Computing of a base station, IoR section IV (2); downlink messages pass it before the air."""

    rate: float = Field(ge=1e3, le=1e15, description="of the whole computing, bit/s")
    shared: int = Field(MILLE, ge=1, le=MILLE, description="share of it that URLLC may use, 1/1000; euad: URLLC alone")
    drop_after: float = Field(
        5e-3, gt=0, le=1e6, description="euad: packets that would leave the computing later are dropped, s"
    )


class Handover(Config):
    """When a robot changes to a stronger base station (event A3 of 3GPP TS 38.331, 5.5.4.4)."""

    hysteresis: float = Field(3.0, ge=0, le=1000, description="by which the other must be stronger, dB")
    time_to_trigger: float = Field(0.16, ge=0, le=1e6, description="for which it must have been so, s")
    interruption: float = Field(0.0, ge=0, le=100, description="for which nothing crosses after a handover, s")
    failure_after: float = Field(
        0.0, ge=0, le=1e6, description="below min_snr for so long the link has failed (T310, TS 38.331); 0: never, s"
    )
    reestablishment: float = Field(
        0.2, ge=0, le=100, description="from when a station is in reach after that until something crosses, s"
    )
