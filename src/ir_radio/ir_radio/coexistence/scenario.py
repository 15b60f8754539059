# SPDX-License-Identifier: Apache-2.0
"""What a coexistence run is asked to be (IoR section IV).

Choices where the paper is silent: docs/method/coexistence.md.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from ir_common.config import validate
from ir_radio.model.access_scheme import Puncturing
from ir_radio.model.shares import MILLE

SLOT = 1_000_000
"""A slot, ns (IoR section IV)."""

Scheduler = Literal["puncturing", "putd", "euad", "fifo"]
PunctureRule = Literal["rotate", "idle_first", "best_channel"]


class CoexistenceScenario(Puncturing):
    """One base station, some eMBB robots and one URLLC robot, downlink."""

    scheduler: Scheduler = Field("puncturing", description="who may take what from whom")
    sub_carriers: int = Field(12, gt=0, description="sub-carriers of the air")
    minislots: int = Field(4, ge=1, description="mini-slots of a slot of 1 ms; a divisor of 10^6")
    carried_first: bool = Field(False, description="carried packets go before new ones; else after")
    puncture: PunctureRule = Field("rotate", description="which usable sub-carriers URLLC takes")

    embb_robots: int = Field(8, ge=1, description="eMBB robots, each with the same share of the traffic")
    embb_rate: float = Field(11e6, ge=0, description="eMBB traffic of all robots together, bit/s")
    embb_job_bits: float = Field(12e3, gt=0, description="mean of an eMBB job, exponential, bit")
    batch_rate: float = Field(1500.0, ge=0, description="URLLC batches, 1/s")
    batch_packets: float = Field(6.0, ge=0, description="mean packets of a batch, Poisson")
    packet_bits: int = Field(256, ge=1, description="bits of a URLLC packet")

    computing_rate: float = Field(16e6, gt=0, description="of the whole base-station computing, bit/s")
    shared: int = Field(MILLE, ge=1, le=MILLE, description="share of it that URLLC may use, 1/1000; EUAD: URLLC alone")
    drop_after: float = Field(
        5e-3, gt=0, description="EUAD: packets that would leave the computing later are dropped, s"
    )

    urllc_power: float = Field(-90.0, description="mean received power of a sub-carrier at the URLLC robot, dBm")
    embb_power: float = Field(-90.0, description="mean received power of a sub-carrier at the eMBB robots, dBm")
    noise_power: float = Field(-110.0, description="noise power of a sub-carrier, dBm")
    blocklength: int = Field(200, ge=1, description="symbols of a sub-carrier in a mini-slot")
    max_efficiency: float = Field(7.4063, gt=0, description="of the best modulation and coding of eMBB, bit/symbol")
    coherence_slots: int = Field(10, ge=1, description="slots for which Rayleigh fading stays the same")

    @model_validator(mode="after")
    def _fits(self) -> CoexistenceScenario:
        if SLOT % self.minislots:
            raise ValueError(
                f"minislots: {self.minislots} do not divide the slot of {SLOT} ns; give a divisor, such as 4"
            )
        if self.sub_carriers * self.minislots > 1000:
            raise ValueError("sub_carriers x minislots: more than 1000; give fewer")
        if self.packets_per_minislot > self.sub_carriers:
            raise ValueError(
                f"packets_per_minislot: {self.packets_per_minislot} packets need as many sub-carriers, "
                f"there are {self.sub_carriers}; give at most that"
            )
        if self.scheduler == "euad" and self.shared == MILLE:
            raise ValueError("shared: 1000 leaves eMBB nothing under euad; give at most 999")
        return self

    @property
    def minislot(self) -> int:
        """Length of a mini-slot, ns."""
        return SLOT // self.minislots

    def but(self, **changes: Any) -> CoexistenceScenario:
        """The same scenario with other values.

        Raises:
            ConfigError: the values do not go together.
        """
        return scenario(**(self.model_dump() | changes))


def scenario(**values: Any) -> CoexistenceScenario:
    """A scenario of plain values.

    Raises:
        ConfigError: a key is unknown or a value impossible; one line.
    """
    return validate(CoexistenceScenario, values, "scenario")
