# SPDX-License-Identifier: Apache-2.0
"""Access by contention as in WiFi: keys of `carrier.contention` (docs/method/radio.md#contention)."""

from __future__ import annotations

from pydantic import Field, model_validator

from ir_common.config import Config


class AccessCategory(Config):
    """How eagerly a class of traffic contends (IEEE 802.11-2020, 10.22.2 and table 9-155)."""

    aifsn: int = Field(ge=1, le=15, description="slots that the medium must be idle after SIFS")
    cw_min: int = Field(ge=0, le=32767, description="greatest backoff of a first attempt, slots")
    cw_max: int = Field(ge=0, le=32767, description="greatest backoff of any attempt, slots")

    @model_validator(mode="after")
    def _rises(self) -> AccessCategory:
        if self.cw_max < self.cw_min:
            raise ValueError(f"cw_max of {self.cw_max} is under cw_min of {self.cw_min}; give at least that")
        return self


class Contention(Config):
    """Distributed access (EDCA) with aggregation; defaults are those of IEEE 802.11ax at 5 GHz.

    Each robot contends with its uplink, and each slice of the base station, a virtual access point, with its downlink.
    """

    slot_time: float = Field(9e-6, ge=1e-6, le=1e-3, description="of the backoff, s")
    sifs: float = Field(16e-6, ge=1e-6, le=1e-3, description="between a frame and its acknowledgement, s")
    preamble: float = Field(44e-6, ge=0, le=1e-2, description="of a frame (HE SU), s")
    acknowledgement: float = Field(32e-6, ge=0, le=1e-2, description="length of a block acknowledgement, s")
    embb: AccessCategory = Field(
        AccessCategory(aifsn=3, cw_min=15, cw_max=1023), description="category of eMBB slices: best effort"
    )
    urllc: AccessCategory = Field(
        AccessCategory(aifsn=2, cw_min=3, cw_max=7), description="category of URLLC slices: voice"
    )
    retries: int = Field(7, ge=0, le=255, description="of a frame, before its first message is dropped")
    packet: int = Field(1500, ge=64, le=11454, description="bytes of a packet (MPDU) into which messages are cut")
    packet_header: int = Field(42, ge=0, le=1000, description="bytes a packet more: MAC, security, delimiter")
    aggregated: int = Field(64, ge=1, le=1024, description="most packets of a frame (A-MPDU)")
    txop: float = Field(2.528e-3, ge=1e-4, le=0.1, description="longest frame, s")
    packet_error: float = Field(0.05, ge=0, lt=1, description="probability that a packet of a frame is not decoded")
    burst: float = Field(10e-3, ge=1e-4, le=10, description="air time that an idle slice may save up, s")
