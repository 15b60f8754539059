# SPDX-License-Identifier: Apache-2.0
"""Radio access as it is, beside the papers' idealised one: keys of `carrier.access` (docs/method/radio.md)."""

from __future__ import annotations

import re
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from ir_common.config import Config
from ir_radio.model.link_adaptation import Ladder, McsTable, ladder

SYMBOLS = 14
"""Symbols of a slot with normal cyclic prefix (3GPP TS 38.211, table 4.3.2-1)."""

DOWNLINK, UPLINK = 0, 1


class RadioAccess(Config):
    """How a message gets onto the air and is decoded, in slots that have a direction.

    Defaults are those of NR at a sub-carrier spacing of 30 kHz: processing times are N1 and N2 of TS 38.214 (tables
    5.3-1 and 6.4-1, capability 1) of the terminal, and as much for the base station (TR 37.910).
    """

    tdd: str = Field("DDDSU", description="direction of each slot: D, U, S: special; empty: FDD, all slots both ways")
    special_downlink: int = Field(10, ge=0, le=SYMBOLS, description="symbols of a special slot that carry downlink")
    special_uplink: int = Field(0, ge=0, le=SYMBOLS, description="symbols of a special slot that carry uplink data")
    configured_grant: bool = Field(False, description="uplink has standing grants (type 1): no request, no report")
    sr_period: float = Field(10e-3, ge=1e-4, le=1, description="between occasions for scheduling requests, s")
    first_grant: int = Field(64, ge=8, le=10**6, description="bytes of a grant given before a buffer report is in")
    keep_granting: float = Field(
        0.0, ge=0, le=10, description="for which such grants go on after uplink data, at every uplink slot, s"
    )
    k1: int = Field(2, ge=0, le=32, description="slots from downlink data to its acknowledgement, at least")
    k2: int = Field(2, ge=0, le=32, description="slots from a grant to the uplink data, at least")
    ue_processing: float = Field(0.43e-3, ge=0, le=1, description="of the terminal: before sending, and to decode, s")
    gnb_processing: float = Field(0.43e-3, ge=0, le=1, description="of the base station: to schedule, and to decode, s")
    harq_round_trip: float = Field(0.0, ge=0, le=1, description="between transmissions of a block, at least, s")
    transmissions: int = Field(4, ge=1, le=16, description="of a block, until HARQ gives up")
    bler_target: float = Field(0.1, gt=0, le=0.5, description="block error rate of first transmissions")
    outer_loop: bool = Field(True, description="the scheduler meets the target; else it follows the reported CQI")
    combining_spread: float = Field(
        2.5, ge=0.1, le=100, description="standard deviation of the SNR over the transmissions of a block, dB"
    )
    mcs_table: McsTable = Field("64qam", description="modulation and coding (TS 38.214, 5.1.3.1-1 or -2)")
    rlc: Literal["acknowledged", "unacknowledged"] = Field(
        "acknowledged", description="what HARQ gave up is sent again, or its messages are lost"
    )
    rlc_wait: float = Field(45e-3, ge=0, le=10, description="until it is sent again (t-PollRetransmit, TS 38.331), s")
    message_header: int = Field(32, ge=0, le=1000, description="bytes a message more: IP, UDP, SDAP, PDCP")
    segment_header: int = Field(6, ge=0, le=1000, description="bytes a segment more: RLC, MAC")
    core_delay: float = Field(0.0, ge=0, le=10, description="between base station and edge, both ways, s")
    core_jitter: float = Field(0.0, ge=0, le=10, description="mean of what comes on top of it, exponential, s")
    sharing: Literal["max_min", "round_robin", "proportional_fair"] = Field(
        "max_min", description="of the blocks of a slice among its queues"
    )

    @field_validator("tdd")
    @classmethod
    def _slots_have_directions(cls, tdd: str) -> str:
        if not re.fullmatch("[DSU]{0,80}", tdd):
            raise ValueError(f"'{tdd}' is no pattern of slots; give at most 80 letters D, S, U such as DDDSU, or none")
        return tdd

    @model_validator(mode="after")
    def _both_ways(self) -> RadioAccess:
        if self.special_downlink + self.special_uplink > SYMBOLS:
            raise ValueError(f"a special slot has {SYMBOLS} symbols; special_downlink and special_uplink ask for more")
        if not all(self.shares):
            raise ValueError(f"tdd: '{self.tdd}' has no slot of one direction; give one with both, such as DDDSU")
        return self

    @property
    def shares(self) -> tuple[float, float]:
        """Share of time in which the carrier carries downlink, and uplink."""
        down, up = self.spans.mean(axis=0).tolist() if self.tdd else (1.0, 1.0)
        return down, up

    @property
    def spans(self) -> NDArray[np.float64]:
        """[slots of the pattern, 2] share of each slot that carries downlink (its beginning) and uplink (its end)."""
        special = (self.special_downlink / SYMBOLS, self.special_uplink / SYMBOLS)
        kinds = {"D": (1.0, 0.0), "U": (0.0, 1.0), "S": special, "": (1.0, 1.0)}
        return np.array([kinds[letter] for letter in (self.tdd or [""])])

    @property
    def ladder(self) -> Ladder:
        """The MCS that links have over SNR."""
        return ladder(self.mcs_table, self.bler_target, self.outer_loop)
