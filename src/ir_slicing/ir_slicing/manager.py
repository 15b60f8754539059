# SPDX-License-Identifier: Apache-2.0
"""The slice manager without ROS: slices, demand and allocation, as numbers in and decisions out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from ir_common.config import Config, live
from ir_radio.slices import SliceSpec
from ir_slicing.admission import load_registry
from ir_slicing.allocation import Hysteresis, Request, divide
from ir_slicing.demand import DemandFilter, mean_block_rate


class ManagerConfig(Config):
    """Parameters of the slice manager."""

    slices_file: Path = Field(description="slices file: carrier, templates and initial slices")
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
    headroom: float = live(1.2, ge=1.0, le=10.0, description="demand is reckoned as this times the offered rate")
    drain_time: float = live(0.1, gt=0.0, le=60.0, description="demand makes room to empty the queues in this time, s")
    demand_time_constant: float = live(1.0, gt=0.0, le=60.0, description="of the low pass of offered rates, s")
    hysteresis: float = live(
        0.1, ge=0.0, le=1.0, description="an allocation stays while no slice's differs by more than this fraction"
    )


@dataclass(frozen=True)
class Allocation:
    """One decision that changed something.

    Attributes:
        sequence: counts them, from 1.
        blocks: RB of each slice.
    """

    sequence: int
    blocks: dict[str, float]


class SliceManager:
    """Slices in force and their allocation.

    Args:
        config: parameters; replaced by `configure`.
        now: ns of ROS time; 0 means that the clock has not started.

    Raises:
        ConfigError: the slices file is wrong or its slices do not fit.
    """

    def __init__(self, config: ManagerConfig, now: int) -> None:
        self.registry, self._nominal = load_registry(
            config.slices_file, config.urllc_margin, config.reference_distance, now
        )
        self._links: dict[str, float] = {}
        self._offered: dict[str, float] = {}
        self._queued: dict[str, float] = {}
        self._now = now
        self._filter = DemandFilter(config.demand_time_constant)
        self._hysteresis = Hysteresis(config.hysteresis)
        self.configure(config)
        self.allocation = Allocation(0, {})

    def configure(self, config: ManagerConfig) -> None:
        """Takes over the live parameters."""
        self.config = config
        self._filter.time_constant = config.demand_time_constant
        self._hysteresis.relative = config.hysteresis

    def block_rate(self, spec: SliceSpec) -> float:
        """bit/s of one resource block now: over the links of the slice's robots, or of all, or the nominal one."""
        own = [rate for robot, rate in self._links.items() if any(flow.carries(robot) for flow in spec.flows)]
        return mean_block_rate(own, mean_block_rate(self._links.values(), self._nominal))

    def report(
        self, now: int, offered: Mapping[str, float], queued: Mapping[str, float], links: Mapping[str, float]
    ) -> None:
        """Takes in what the radio did.

        Args:
            now: ns of ROS time of the report.
            offered: bit/s offered to each slice.
            queued: bit that wait in each slice.
            links: bit/s of one resource block on each robot's link; NaN where unknown.
        """
        self._offered = self._filter.update(now * 1e-9, offered)
        self._queued = dict(queued)
        self._links = dict(links)

    def tick(self, now: int) -> bool:
        """Lets time (ns) go on; returns whether the slices changed: lifetimes ended or were begun anew."""
        started, back = self._now == 0 < now, now < self._now
        if started or back:
            self.registry.begin_lifetimes(now)
        self._now = now
        return bool(self.registry.expire(now)) or started or back

    def allocate(self) -> bool:
        """Decides on the allocation; returns whether it changed."""
        slices = [entry.spec for entry in self.registry.slices.values()]
        carrier = self.registry.carrier.resource_blocks
        blocks = divide([self._request(spec) for spec in slices], carrier)
        names = [spec.name for spec in slices]
        if not self._hysteresis.changed(names, blocks, carrier):
            return False
        self.allocation = Allocation(self.allocation.sequence + 1, dict(zip(names, blocks.tolist(), strict=True)))
        return True

    def room(self) -> str:
        """How much of the carrier is guaranteed now, in words."""
        total = self.registry.carrier.resource_blocks
        taken = sum(self.registry.blocks(entry.spec, self.block_rate) for entry in self.registry.slices.values())
        return f"{taken:.1f} of {total} resource blocks are guaranteed now"

    def _request(self, spec: SliceSpec) -> Request:
        rate = self.block_rate(spec)
        guaranteed = self.registry.blocks(spec, self.block_rate)
        bits = self.config.headroom * self._offered.get(spec.name, 0.0)
        bits += self._queued.get(spec.name, 0.0) / self.config.drain_time
        reserved = guaranteed if spec.type == "urllc" else self.config.reserve * guaranteed
        return Request(spec.name, guaranteed, reserved, bits / rate, spec.priority)
