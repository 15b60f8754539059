# SPDX-License-Identifier: Apache-2.0
"""The radio carrier of a base station: keys of `carrier` in `config/slices.yaml` and of access profiles."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ir_common.config import Config
from ir_radio.model.access_scheme import Air, Computing, Handover
from ir_radio.model.propagation import Propagation
from ir_radio.model.radio_access import RadioAccess
from ir_radio.model.shares import MILLE
from ir_radio.model.uplink_power import UplinkPower
from ir_radio.model.wifi_contention import Contention

FARTHEST = 1e9
"""Greatest coordinate of a place, m: beyond it a number is a mistake, and path losses would leave what floats hold."""
Coordinate = Annotated[float, Field(ge=-FARTHEST, le=FARTHEST)]

MOST_SUBBANDS = 64
_MOST_DB = 300.0  # of a level or a ratio: far beyond physics, and its power of ten is still a float

SUBCARRIERS = 12
"""Sub-carriers of one resource block (3GPP TS 38.211, 4.4.4.1)."""


class Carrier(Config):
    """The radio carrier of one base station (choices: docs/method/channel.md).

    The defaults are those of a 40 MHz NR carrier in numerology 0, whose slot is the 1 ms of IoR section IV, and of a
    low-power indoor cell, so that the rate depends on the distance within a hall. Without `access` the carrier is the
    papers' idealised one: both directions at once, no requests, grants or processing, errors only where asked for; its
    delays are about ten times shorter than those of a network.
    """

    bandwidth: float = Field(40e6, gt=0, le=1e12, description="channel bandwidth, guard bands included, Hz")
    resource_blocks: int = Field(
        216, gt=0, le=100_000, description="resource blocks of the carrier (3GPP TS 38.101-1, 5.3.2-1)"
    )
    subcarrier_spacing: float = Field(15e3, gt=0, le=1e12, description="Hz")
    frequency: float = Field(3.5e9, ge=1.0, le=1e15, description="carrier frequency, Hz")
    tx_power: float = Field(0.0, ge=-_MOST_DB, le=_MOST_DB, description="transmit power over all resource blocks, dBm")
    uplink: UplinkPower | None = Field(
        None, description="power control of the terminals; none: uplink has the power of downlink"
    )
    noise_density: float = Field(-174.0, ge=-_MOST_DB, le=_MOST_DB, description="thermal noise density, dBm/Hz")
    noise_figure: float = Field(9.0, ge=0, le=_MOST_DB, description="of the receivers, dB")
    max_spectral_efficiency: float = Field(
        7.4063, gt=0, le=100, description="of the best modulation and coding, bit/s/Hz"
    )
    min_snr: float = Field(-6.7, ge=-_MOST_DB, le=_MOST_DB, description="below this there is no coverage, dB")
    min_distance: float = Field(1.0, ge=1e-3, le=1e9, description="distances are taken as at least this (far field), m")
    shadowing: float = Field(0.0, ge=0, le=100, description="standard deviation of log-normal shadowing, dB; 0: none")
    shadowing_distance: float = Field(10.0, ge=1e-3, le=1e9, description="over which shadowing decorrelates to 1/e, m")
    propagation: Propagation | None = Field(
        None, description="path loss, line of sight and shadowing of a scenario of TR 38.901; none: free space"
    )
    fading: Literal["none", "rayleigh"] = Field("none", description="block fading of each link")
    coherence_slots: int = Field(10, gt=0, le=10**9, description="slots for which the fading of a link stays the same")
    delay_spread: float = Field(
        0.0,
        ge=0,
        le=1e-3,
        description="RMS delay spread of the paths, s: the carrier fades by sub-bands; 0: as a whole",
    )
    position: tuple[Coordinate, Coordinate, Coordinate] = Field(
        (0.0, 0.0, 3.0), description="of the base station, map frame, m"
    )
    neighbours: tuple[tuple[Coordinate, Coordinate, Coordinate], ...] = Field(
        (), max_length=63, description="positions of further base stations like it, m"
    )
    interference: float = Field(
        0.0, ge=0, le=1, description="load of the other stations on the same frequency; 0: each has its own frequency"
    )
    handover: Handover = Field(default_factory=Handover, description="between base stations")
    air: Air = Field(default_factory=Air, description="how eMBB and URLLC share the blocks")
    computing: Computing | None = Field(None, description="of a base station, for downlink messages; none: no wait")
    slot: float = Field(1e-3, ge=1e-5, le=0.1, description="length of a slot, s")
    mini_slots: int = Field(4, ge=1, le=50, description="mini-slots of a slot")
    efficiency: float = Field(
        1.0, ge=1e-3, le=1, description="reached fraction of Shannon's (3GPP TR 36.942, A.1: alpha)"
    )
    overhead: float = Field(0.0, ge=0, lt=1, description="fraction of the carrier that carries no user data")
    access: RadioAccess | None = Field(
        None,
        description="requests, grants, TDD, HARQ, MCS; none: the papers' idealised carrier, which has none of them",
    )
    contention: Contention | None = Field(
        None, description="carrier sensing, backoff, collisions and aggregation of WiFi; none: slices have their blocks"
    )
    scheduling_latency: float = Field(0.0, ge=0, le=1, description="added to each message: request, grant, decoding, s")

    @property
    def slot_time(self) -> int:
        """Length of a slot, ns."""
        return round(self.slot * 1e9)

    @property
    def least_share(self) -> float:
        """Share of time in which the carrier serves the direction that has less of it: guarantees rest on that."""
        return min(self.access.shares) if self.access else 1.0

    def both_ways(self, uplink: float, downlink: float) -> float:
        """The rate by which a need is counted whose directions are apart, in rates of `channel.block_rate`, bit/s.

        The idealised carrier divides its blocks between the directions: the sum. With `access` a block carries both,
        each in its share of time: what the direction that needs more blocks would need if it had the lesser share.
        """
        if not self.access:
            return uplink + downlink
        down, up = self.access.shares
        return self.least_share * max(uplink / up, downlink / down)

    @property
    def subbands(self) -> int:
        """Parts of the carrier that fade each for itself, at most `MOST_SUBBANDS`.

        Each is as wide as the coherence bandwidth for a correlation of one half, 1 / (5 delay spread) (Rappaport,
        *Wireless Communications*, 5.4.2).
        """
        return min(max(1, round(5.0 * self.delay_spread * self.bandwidth)), MOST_SUBBANDS)

    @property
    def least_latency(self) -> float:
        """What access alone adds to every message, s."""
        access = self.access
        added = min(access.ue_processing, access.gnb_processing) + access.core_delay if access else 0.0
        return self.scheduling_latency + added

    @property
    def block_bandwidth(self) -> float:
        """Bandwidth of one resource block, Hz."""
        return SUBCARRIERS * self.subcarrier_spacing

    @model_validator(mode="after")
    def _is_somewhere(self) -> Carrier:
        p = self.propagation
        if p is None:
            return self
        if not 0.5e9 <= self.frequency <= 100e9:
            raise ValueError(
                f"propagation: TR 38.901 is for 0.5 to 100 GHz, the frequency is {self.frequency / 1e9:g} GHz; "
                "change it, or leave propagation out"
            )
        if self.shadowing:
            raise ValueError(
                f"shadowing: {p.scenario} has its own; leave shadowing out, or give propagation line_of_sight and "
                "shadowing: false"
            )
        if fault := p.fault(tuple(z for _, _, z in (self.position, *self.neighbours))):
            raise ValueError(fault)
        return self

    @model_validator(mode="after")
    def _fits(self) -> Carrier:
        used = self.resource_blocks * self.block_bandwidth
        if used > self.bandwidth:
            raise ValueError(
                f"{self.resource_blocks} resource blocks of {self.block_bandwidth / 1e3:g} kHz take "
                f"{used / 1e6:g} MHz, the bandwidth is {self.bandwidth / 1e6:g} MHz; "
                f"at most {int(self.bandwidth // self.block_bandwidth)} fit"
            )
        if self.computing and self.air.scheduler == "euad" and self.computing.shared == MILLE:
            raise ValueError(f"computing.shared: {MILLE} leaves eMBB nothing under euad; give at most {MILLE - 1}")
        if self.access and self.air.scheduler != "reserved":
            raise ValueError(
                f"access: goes with air.scheduler reserved, not with {self.air.scheduler}, which is the papers' "
                "idealised air"
            )
        if self.air.scheduler == "reserved" and self.air.block_error > 0.0:
            raise ValueError(
                "air.block_error: has no effect under reserved, whose bits flow; give access with a bler_target instead"
            )
        if self.contention and (self.access or self.air.scheduler != "reserved"):
            raise ValueError("contention: goes with air.scheduler reserved and without access; leave those out")
        if self.slot_time % self.mini_slots:
            raise ValueError(
                f"{self.mini_slots} mini-slots do not divide a slot of {self.slot_time} ns; give a divisor"
            )
        return self
