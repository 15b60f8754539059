# SPDX-License-Identifier: Apache-2.0
"""The slice manager as an engine: reports, requests and time in, decisions out.

A node, and a simulation in one process, are adapters around it: they give it plain data and the time, and publish its
decisions. It keeps the journal of its manager and, where agents learn, the rounds of their federation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ir_common.config import ConfigError
from ir_common.journal import Journal
from ir_radio.books.cell_report import Report
from ir_radio.model.slice_specs import SliceSpec
from ir_slicing.allocation.agent_requests import REASONS
from ir_slicing.allocation.slice_loads import LoadReader
from ir_slicing.live.need_requests import NeedRequests
from ir_slicing.live.slice_sight_config import SliceSightConfig
from ir_slicing.manager.federation_rounds import FederationRounds, FederationState, RoundStep
from ir_slicing.manager.manager_config import ManagerConfig
from ir_slicing.manager.manager_journal import keep
from ir_slicing.manager.slice_manager import Allocation
from ir_slicing.orchestration.admission import Slice, SliceRefused
from ir_slicing.orchestration.lifecycle import MANAGER, LifecycleEvent, State

ReadSpec = Callable[[], SliceSpec]
"""Reads the specification out of a request; raises `ConfigError` where there is none in it."""

_NO_STEP = RoundStep()


@dataclass(frozen=True)
class SliceInForce:
    """A slice and what it has.

    Attributes:
        entry: the slice.
        resource_blocks: RB that are allocated to it.
    """

    entry: Slice
    resource_blocks: float


@dataclass(frozen=True)
class ManagerDecision:
    """The changes that are to be published, in this order.

    Attributes:
        model: message of the change of the agents' weights after a round; none: no round was closed.
        federation: state of the federation, where it changed.
        slices: the active ones, where they or their blocks changed; readers learn the names before the allocation.
        allocation: where it changed.
        events: new lines of the audit trail.
        save: what must outlive a restart changed (`ManagerEngine.save`).
    """

    model: bytes | None = None
    federation: FederationState | None = None
    slices: tuple[SliceInForce, ...] | None = None
    allocation: Allocation | None = None
    events: tuple[LifecycleEvent, ...] = ()
    save: bool = False


@dataclass(frozen=True)
class ManagerAnswer:
    """The answer to a request for a slice or template.

    Attributes:
        success: False: refused, nothing changed.
        message: what was done, or why it was refused.
        slice: as it is now; none where there is none.
        decision: what goes out before the answer does.
    """

    success: bool
    message: str
    slice: SliceInForce | None
    decision: ManagerDecision


class ManagerEngine:
    """A slice manager, its journal and its federation. Times ``now`` are ns of ROS time, blocks are RB.

    Args:
        config: validated.
        now: 0 means that the clock has not started.

    Attributes:
        manager: to be looked at; what changes it goes through the engine.
        journal: of the manager's calls.
        federation: of the agents, under the policy learned.
        needs: of the slices, under the policy forecast.

    Raises:
        ConfigError: a file is wrong, or its slices do not fit.
    """

    def __init__(self, config: ManagerConfig, now: int) -> None:
        self.manager, self._calls = keep(config, now)
        self.federation = FederationRounds(self.manager, now) if config.policy == "learned" else None
        self.needs = _needs(config) if config.policy == "forecast" else None
        self._loads = LoadReader()
        self._heard = False
        self._reported = 0.0
        self._begin_trail(now)

    @property
    def journal(self) -> Journal:
        """The journal of the manager's calls."""
        return self._calls.journal

    def _begin_trail(self, now: int) -> None:
        """The trail begins with the slices of the file; what was restored stands in it already."""
        manager = self.manager
        restored = {event.slice for event in manager.trail.peek() if event.action == "restore"}
        for name, entry in manager.registry.slices.items():
            if name not in restored:
                reason = f"stands in {manager.config.slices_file}"
                manager.trail.add(now, "create", name, entry.spec, MANAGER, reason, State.PREPARATION, entry.state)

    def configure(self, config: ManagerConfig) -> None:
        """Takes over the live parameters."""
        self._calls.apply("configure", config)
        if self.needs is not None:
            self.needs.configure(config, _sight(config))

    def save(self) -> None:
        """Writes the state file, where there is one.

        Raises:
            OSError: it cannot be written; the one before is untouched.
        """
        self.manager.save()

    # --- what it hears, and time ---

    def report(self, report: Report) -> ManagerDecision | None:
        """Takes in what the radio did; under the policy forecast it decides at once, else at the next `tick`."""
        bounds = {name: entry.spec.max_latency for name, entry in self.manager.registry.slices.items()}
        loads = self._loads.read(report, bounds)
        self._calls.apply("report", report.time, loads, {row.robot: row.rate for row in report.links})
        self._heard, self._reported = True, report.time * 1e-9
        return self._decide_on_needs(report) if self.needs is not None else None

    def _decide_on_needs(self, report: Report) -> ManagerDecision:
        """The needs of the slices after a report as requests in their names, and the decision on them."""
        assert self.needs is not None
        self.needs.set_slices({name: entry.spec for name, entry in self.manager.registry.active.items()})
        for one in self.needs.report(report, self.manager.registry.carrier.resource_blocks):
            self.request(one.time, one.time * 1e-9, one.slice, one.resource_blocks)
        return self._decide(slices_changed=False)

    def request(self, now: int, time: float, name: str, blocks: float) -> str:
        """Takes an agent's request; a refused one is counted, and the last good one stays in force until it is late.

        Args:
            now: for the audit trail.
            time: s of ROS time of the report that it was made from.
            name: of the slice.
            blocks: asked for.

        Returns:
            why it was refused; empty: it was not.
        """
        reason = self._calls.apply("take", time, name, blocks, now * 1e-9)
        if not reason:
            self._heard = True
            return ""
        count = self.manager.requests.refused[reason]
        why = f"{blocks:g} resource blocks: {REASONS[reason]} ({count} so far)"
        if count == 1 or count % 1000 == 0:
            entry = self.manager.registry.slices.get(name)
            state, spec = (entry.state, entry.spec) if entry else (State.PREPARATION, None)
            self.manager.trail.add(now, "request", name, spec, f"agent of {name}", why, state, accepted=False)
        return f"request of slice '{name}' for {why}"

    def all_asked(self) -> ManagerDecision | None:
        """To be called after requests: decides where all active slices have asked since the last report."""
        requests, active = self.manager.requests, self.manager.registry.active
        if not self._heard or not all(requests.asked_since(name, self._reported) for name in active):
            return None
        self._heard = False
        return self._decide(slices_changed=False)

    def start(self) -> ManagerDecision:
        """The first decision, before any report."""
        return self._decide(slices_changed=True)

    def tick(self, now: int) -> ManagerDecision | None:
        """Lets time go on; to be called every `allocation_period`. None: there is nothing to decide on."""
        slices_changed = self._calls.apply("tick", now)
        step = self.federation.tick(now) if self.federation else _NO_STEP
        # an agent that falls silent is noticed without any message
        if not (slices_changed or self._heard or self.federation):
            return None
        self._heard = False
        return self._decide(slices_changed, step)

    def _decide(self, slices_changed: bool, step: RoundStep = _NO_STEP) -> ManagerDecision:
        manager = self.manager
        allocated = self._calls.apply("allocate")
        active = manager.registry.active.values()
        return ManagerDecision(
            model=step.model,
            federation=self.federation.state if self.federation and step.changed else None,
            slices=tuple(map(self._in_force, active)) if slices_changed or allocated else None,
            allocation=manager.allocation if allocated else None,
            events=tuple(manager.trail.take()),
            save=slices_changed or step.model is not None,
        )

    # --- requests for slices and templates ---

    def slices(self) -> list[SliceInForce]:
        """All slices, inactive ones too."""
        return [self._in_force(entry) for entry in self.manager.registry.slices.values()]

    def templates(self) -> list[SliceSpec]:
        """The templates."""
        return list(self.manager.registry.templates.values())

    def create(self, now: int, requester: str, template_name: str, name: str, read: ReadSpec) -> ManagerAnswer:
        """Makes a slice from a template, under ``name`` (empty: the template's), or from what ``read`` gives."""

        def spec() -> SliceSpec:
            return self.manager.registry.from_template(template_name, name) if template_name else read()

        return self._change_slice("create", "created", now, requester, name or template_name, spec)

    def modify(self, now: int, requester: str, name: str, read: ReadSpec) -> ManagerAnswer:
        """Replaces the specification of a slice as a whole, or not at all; either way the answer has the slice."""
        return self._change_slice("modify", "modified", now, requester, name, read)

    def delete(self, now: int, requester: str, name: str) -> ManagerAnswer:
        """Takes a slice out of operation and decommissions it."""
        return self._change_slice("delete", "deleted", now, requester, name)

    def set_active(self, now: int, requester: str, name: str, active: bool) -> ManagerAnswer:
        """Activates or deactivates a slice."""
        done = "activated" if active else "deactivated"
        return self._change_slice("set_active", done, now, requester, name, None, active)

    def set_template(self, now: int, requester: str, name: str, read: ReadSpec) -> ManagerAnswer:
        """Adds or replaces a template."""
        return self._change_template("set_template", "set", now, requester, name, read)

    def delete_template(self, now: int, requester: str, name: str) -> ManagerAnswer:
        """Removes a template; slices made from it stay."""
        return self._change_template("delete_template", "deleted", now, requester, name)

    def _change_slice(
        self, call: str, done: str, now: int, requester: str, name: str, read: ReadSpec | None = None, *more: bool
    ) -> ManagerAnswer:  # fmt: skip
        try:
            entry: Slice = self._request(call, now, requester, name, read, *more)
        except (SliceRefused, ConfigError) as error:
            return self._refused(error, self.manager.registry.slices.get(name) if call == "modify" else None)
        decision = self._decide(slices_changed=True)
        message = f"slice '{entry.spec.name}' {done}: {self.manager.room()}"
        return ManagerAnswer(True, message, self._in_force(entry), decision)

    def _change_template(
        self, call: str, done: str, now: int, requester: str, name: str, read: ReadSpec | None = None
    ) -> ManagerAnswer:  # fmt: skip
        try:
            self._request(call, now, requester, name, read)
        except (SliceRefused, ConfigError) as error:
            return self._refused(error, None)
        decision = ManagerDecision(events=tuple(self.manager.trail.take()), save=True)
        return ManagerAnswer(True, f"template '{name}' {done}", None, decision)

    def _request(self, call: str, now: int, requester: str, name: str, read: ReadSpec | None, *more: bool) -> Slice:
        """Makes a request; one without a specification that can be read goes on record, but changes nothing."""
        arguments: tuple[SliceSpec | bool, ...] = more
        if read is not None:
            try:
                arguments = (read(),)
            except (SliceRefused, ConfigError) as error:
                self.manager.orchestrator.refuse(now, call, requester, name, error)
                raise
        made: Slice = self._calls.apply(call, now, requester, name, *arguments)
        return made

    def _refused(self, error: Exception, entry: Slice | None) -> ManagerAnswer:
        decision = ManagerDecision(events=tuple(self.manager.trail.take()))
        return ManagerAnswer(False, str(error), self._in_force(entry) if entry else None, decision)

    def _in_force(self, entry: Slice) -> SliceInForce:
        return SliceInForce(entry, self.manager.allocation.blocks.get(entry.spec.name, 0.0))


def _sight(config: ManagerConfig) -> SliceSightConfig:
    return SliceSightConfig(demand_time_constant=config.demand_time_constant, drain_time=config.drain_time)


def _needs(config: ManagerConfig) -> NeedRequests:
    return NeedRequests(config, _sight(config))
