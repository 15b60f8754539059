# SPDX-License-Identifier: Apache-2.0
"""The slice manager without ROS: slices, demand, requests and allocation, as numbers in and decisions out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ir_common.config import ConfigError
from ir_radio.model.slice_specs import SliceSpec
from ir_slicing.allocation.agent_requests import AgentRequests
from ir_slicing.allocation.demand import DemandFilter, Load, mean_block_rate
from ir_slicing.allocation.division import Hysteresis, divide
from ir_slicing.allocation.slice_policies import POLICIES, PolicyName, SliceNeed
from ir_slicing.manager.manager_config import ManagerConfig
from ir_slicing.orchestration.admission import load_registry
from ir_slicing.orchestration.lifecycle import MANAGER, AuditTrail, State
from ir_slicing.orchestration.orchestrator import Orchestrator
from ir_slicing.orchestration.state_file import ManagerState, SavedModel, SavedSlice, load, save


@dataclass(frozen=True)
class Allocation:
    """One decision that changed something.

    Attributes:
        sequence: counts them, from 1.
        blocks: RB of each slice.
        policies: what decided for each slice.
    """

    sequence: int
    blocks: dict[str, float]
    policies: dict[str, PolicyName]


class SliceManager:
    """Slices in force and their allocation.

    Its state follows from the calls of `apply` alone: who repeats them has the manager again (`manager_journal`).

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
        self.trail = AuditTrail()
        self.orchestrator = Orchestrator(self.registry, self.trail, self.block_rate)
        self.requests = AgentRequests(config, self.registry.carrier.resource_blocks, self.trail)
        self.model: SavedModel | None = None
        self._links: dict[str, float] = {}
        self._loads: dict[str, Load] = {}
        self._offered: dict[str, float] = {}
        self._reported = now
        self._now = now
        self._filter = DemandFilter(config.demand_time_constant)
        self._hysteresis = Hysteresis(config.hysteresis)
        self._calls = self._named_calls()
        self.configure(config)
        self.allocation = Allocation(0, {}, {})
        if config.state_file:
            self._restore(config.state_file, now)

    def _named_calls(self) -> dict[str, Callable[..., Any]]:
        return {
            "report": self.report,
            "tick": self.tick,
            "allocate": self.allocate,
            "configure": self.configure,
            "take": self.requests.take,
            "create": self.orchestrator.create,
            "modify": self.orchestrator.modify,
            "delete": self.orchestrator.delete,
            "set_active": self.orchestrator.set_active,
            "set_template": self.orchestrator.set_template,
            "delete_template": self.orchestrator.delete_template,
        }

    def apply(self, call: str, *arguments: Any) -> Any:
        """Makes one of the calls that change a manager, by the name that it has in a journal.

        Raises:
            ValueError: there is no such call.
            SliceRefused, ConfigError: a request for a slice cannot be met.
        """
        if call not in self._calls:
            raise ValueError(f"a slice manager has no call {call}")
        return self._calls[call](*arguments)

    def _restore(self, path: Path, now: int) -> None:
        """Goes on where the manager before this one ended; what is no longer possible is put on record."""
        try:
            state = load(path)
        except ConfigError as error:
            reason = f"{error}; going on with {self.config.slices_file}"
            self.trail.add(now, "restore", "", None, MANAGER, reason, State.PREPARATION, accepted=False)
            return
        if state is None:
            return
        # admitted once: links that are not known yet revoke nothing, as links that got worse do not
        self.registry.templates = {template.name: template for template in state.templates}
        self.registry.slices = {entry.spec.name: entry for entry in state.entries()}
        for name, entry in self.registry.slices.items():
            reason = f"as it was before the restart, from {path}"
            self.trail.add(now, "restore", name, entry.spec, MANAGER, reason, entry.state)
        self.model = state.model
        self.allocation = Allocation(state.sequence, {}, {})

    def save(self) -> None:
        """Writes the state file, where there is one.

        Raises:
            OSError: it cannot be written; the one before is untouched.
        """
        if self.config.state_file:
            slices = tuple(
                SavedSlice(spec=entry.spec, created=entry.created, active=entry.active)
                for entry in self.registry.slices.values()
            )
            templates = tuple(self.registry.templates.values())
            state = ManagerState(
                sequence=self.allocation.sequence, templates=templates, slices=slices, model=self.model
            )
            save(self.config.state_file, state)

    def configure(self, config: ManagerConfig) -> None:
        """Takes over the live parameters."""
        self.config = config
        self._filter.time_constant = config.demand_time_constant
        self._hysteresis.relative = config.hysteresis

    def block_rate(self, spec: SliceSpec) -> float:
        """bit/s of one resource block now: over the links of the slice's robots, or of all, or the nominal one."""
        own = [rate for robot, rate in self._links.items() if any(flow.carries(robot) for flow in spec.flows)]
        return mean_block_rate(own, mean_block_rate(self._links.values(), self._nominal))

    def report(self, now: int, loads: Mapping[str, Load], links: Mapping[str, float]) -> None:
        """Takes in what the radio did.

        Args:
            now: ns of ROS time of the report.
            loads: of each slice.
            links: bit/s of one resource block on each robot's link; NaN where unknown.
        """
        self._offered = self._filter.update(now * 1e-9, {name: load.offered for name, load in loads.items()})
        self._loads, self._links = dict(loads), dict(links)
        seconds, self._reported = max(now - self._reported, 0) * 1e-9, now
        for name, entry in self.registry.active.items():
            if name in loads:
                demand = min(self._demand(entry.spec), self.registry.carrier.resource_blocks, self._ceiling(entry.spec))
                self.requests.judge(name, seconds, loads[name].missed, demand)

    def tick(self, now: int) -> bool:
        """Lets time (ns) go on; returns whether the slices changed: lifetimes ended or were begun anew."""
        started, back = self._now == 0 < now, now < self._now
        if started or back:
            self.registry.begin_lifetimes(now, kept=started)
        if back:
            self.requests.forget_times()
        self._now = now
        return self.orchestrator.expire(now) or started or back

    def allocate(self) -> bool:
        """Decides on the allocation; returns whether it changed, in its numbers or in who decided."""
        slices = {name: entry.spec for name, entry in self.registry.active.items()}
        carrier = self.registry.carrier.resource_blocks
        self.requests.set_slices(list(slices))
        policy = self.config.policy
        asked = self.requests.trusted(self._now * 1e-9) if policy in ("forecast", "learned") else {}
        fallback: PolicyName = "static" if policy == "static" else "proportional"
        policies: dict[str, PolicyName] = {name: policy if name in asked else fallback for name in slices}
        wanted = [
            POLICIES[policies[name]](spec, self._need(spec, asked.get(name, math.nan))) for name, spec in slices.items()
        ]
        blocks = divide(wanted, carrier, self.config.overload)
        if not self._hysteresis.changed(wanted, blocks, carrier) and policies == self.allocation.policies:
            return False
        given = dict(zip(slices, blocks.tolist(), strict=True))
        self.allocation = Allocation(self.allocation.sequence + 1, given, policies)
        return True

    def room(self) -> str:
        """The guaranteed part of the carrier in words, for answers."""
        total = self.registry.carrier.resource_blocks
        taken = sum(self.registry.blocks(entry.spec, self.block_rate) for entry in self.registry.active.values())
        return f"{taken:.1f} of {total} resource blocks are guaranteed now"

    def _need(self, spec: SliceSpec, asked: float) -> SliceNeed:
        ceiling = self._ceiling(spec)
        guaranteed = min(self.registry.blocks(spec, self.block_rate), ceiling)
        dedicated = min(spec.dedicated_share * self.registry.carrier.resource_blocks, guaranteed)
        reserved = guaranteed if spec.type == "urllc" else self.config.reserve * guaranteed
        return SliceNeed(guaranteed, reserved, self._demand(spec), asked, dedicated, ceiling)

    def _ceiling(self, spec: SliceSpec) -> float:
        """RB that a slice never exceeds; inf: there is no such number, not even the carrier's where links are poor."""
        return spec.max_share * self.registry.carrier.resource_blocks if spec.max_share < 1.0 else math.inf

    def _demand(self, spec: SliceSpec) -> float:
        """RB that what a slice offers and what waits would fill."""
        bits = self.config.headroom * self._offered.get(spec.name, 0.0)
        if spec.name in self._loads:
            bits += self._loads[spec.name].queued / self.config.drain_time
        return bits / self.block_rate(spec)
