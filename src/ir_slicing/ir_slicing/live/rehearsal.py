# SPDX-License-Identifier: Apache-2.0
"""The live slices in simulated time: the radio's cell, the slice manager and what agents see, without processes.

Everything between report and allocation is the code that runs in the stack; only the network of topics is missing. So
agents can be trained and judged on what they will live with, at many times its speed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from ir_radio.books.cell_report import Report
from ir_radio.engine.cell import Cell, FlowKey
from ir_radio.model.carrier import Carrier
from ir_radio.model.slice_specs import SliceSpec
from ir_slicing.allocation.slice_loads import LoadReader
from ir_slicing.allocation.slice_policies import PolicyName
from ir_slicing.live.live_forecaster import LiveForecaster, fit_ready
from ir_slicing.live.live_forecaster_config import LiveForecasterConfig
from ir_slicing.live.slice_agent_config import SliceAgentConfig
from ir_slicing.live.slice_sight import SliceSight
from ir_slicing.live.slice_view import NANOSECONDS, SliceView, SortedReport, ViewReader
from ir_slicing.manager.manager_config import ManagerConfig
from ir_slicing.manager.manager_engine import ManagerDecision, ManagerEngine

Floats = NDArray[np.float64]
PERIOD = 0.2
"""Period of the radio's reports and of the manager's decisions, s."""


@dataclass(frozen=True)
class RehearsalScenario:
    """The setting of one run.

    Attributes:
        carrier: of the cell.
        specs: slices.
        distances: of each robot, m.
        sizes: [slice] B of a message.
        offered: [report, slice] bit/s, over all robots that the slice carries.
        phase: s from a report to the manager's decision, where it does not decide on the report.
        seed: of the arrivals.
        drives: [report] m: distances of the robots that do not stand still.
    """

    carrier: Carrier
    specs: tuple[SliceSpec, ...]
    distances: dict[str, float]
    sizes: tuple[int, ...]
    offered: Floats
    phase: float
    seed: int
    drives: Mapping[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True)
class RehearsalPeriod:
    """The outcome of one report period; arrays are [slice].

    Attributes:
        delay: p99, s; NaN where nothing was delivered.
        bound: s.
        met: the bound was met and nothing was dropped.
        blocks: RB.
    """

    delay: Floats
    bound: Floats
    met: NDArray[np.bool_]
    blocks: Floats


class Rehearsal:
    """One run of cell, manager and the eyes of the slices' agents.

    Args:
        scenario: what it is like.
        policy: of the manager.
        config: of the agents.
        twin: slice forecasters are fitted between two reports, where they are ready, and used.
        judged: the manager stops to listen to agents that do worse than proportional shares.

    Attributes:
        sights: eyes of the slices' agents, for whoever asks in their place.
        reports: number of periods that are over.
        report: the last one.
    """

    def __init__(
        self, scenario: RehearsalScenario, policy: PolicyName, config: SliceAgentConfig, twin: bool = True,
        judged: bool = True,
    ) -> None:  # fmt: skip
        self._scenario, self._period = scenario, round(PERIOD * NANOSECONDS)
        self._cell = Cell(scenario.carrier)
        self._manager = _manager(scenario, policy, twin, judged)
        self._rng = np.random.default_rng([scenario.seed, 17])
        for spec in scenario.specs:
            self._cell.set_slice(spec)
        for robot, distance in scenario.distances.items():
            self._cell.set_pose(robot, (distance, 0.0, 0.0))
        self._flows = [
            (m, self._cell.flow(FlowKey(spec.name, robot, spec.flows[0].topic, spec.flows[0].direction)))
            for m, spec in enumerate(scenario.specs)
            for robot in scenario.distances
            if spec.flows[0].carries(robot)
        ]
        self._devices = np.bincount([m for m, _ in self._flows], minlength=len(scenario.specs))
        self._loads = LoadReader()
        self._bounds = {spec.name: spec.max_latency for spec in scenario.specs}
        self._readers = [ViewReader(spec.name) for spec in scenario.specs]
        self.sights = [
            SliceSight(spec.max_latency, config, LiveForecaster(LiveForecasterConfig(), 0, train=twin))
            for spec in scenario.specs
        ]
        self.reports = 0
        self.report: Report | None = None
        self._apply(self._manager.start())

    @property
    def over(self) -> bool:
        """Whether the scenario ends here."""
        return self.reports >= len(self._scenario.offered)

    def _apply(self, decision: ManagerDecision | None) -> None:
        if decision is not None and decision.allocation is not None:
            self._cell.set_allocation(decision.allocation.blocks)

    def _run(self, until: int) -> None:
        """Random arrivals (Poisson) up to a time."""
        begin, scenario = self._cell.now, self._scenario
        rates = scenario.offered[min(self.reports, len(scenario.offered) - 1)]
        flows, sizes, times = [], [], []
        for m, flow in self._flows:
            mean = rates[m] / (8.0 * scenario.sizes[m] * self._devices[m]) * (until - begin) / NANOSECONDS
            count = int(self._rng.poisson(mean))
            flows += [flow] * count
            sizes += [scenario.sizes[m]] * count
            times.append(self._rng.integers(begin, until, count))
        when = np.concatenate(times)
        order = np.argsort(when, kind="stable")
        self._cell.run(np.array(flows, np.int64)[order], np.array(sizes, np.int64)[order], when[order], until)

    def next(self, asked: Floats | None) -> tuple[list[SliceView | None], RehearsalPeriod]:
        """Runs from one report to the next; returns each slice's view, and the outcome.

        Args:
            asked: [slice] RB that the agents ask for, right after the last report; nothing: they are silent.
        """
        begin, names = self._cell.now, [spec.name for spec in self._scenario.specs]
        for name, blocks in zip(names, () if asked is None else asked.tolist(), strict=asked is not None):
            self._manager.request(begin, begin / NANOSECONDS, name, blocks)
        self._apply(self._manager.all_asked())
        for robot, distances in self._scenario.drives.items():
            self._cell.set_pose(robot, (float(distances[self.reports]), 0.0, 0.0))
        self._run(begin + round(self._scenario.phase * NANOSECONDS))
        self._apply(self._manager.tick(max(self._cell.now, 1)))
        self._run(begin + self._period)
        self.reports += 1
        report, carrier = self._cell.report(), self._scenario.carrier
        self.report = report
        loads = self._loads.read(report, self._bounds)
        self._apply(self._manager.report(report))
        needs = self._manager.needs
        fit_ready(needs.forecasters if needs else [sight.forecaster for sight in self.sights], len(names))
        rows = {row.slice: row for row in report.slices}
        seen = RehearsalPeriod(
            np.array([rows[name].recent_delay.p99 for name in names]),
            np.array([self._bounds[name] for name in names]),
            np.array([not loads[name].missed for name in names]),
            np.array([rows[name].resource_blocks for name in names]),
        )
        sorted_ = SortedReport(report, self._bounds)
        return [reader.read(sorted_, carrier.resource_blocks) for reader in self._readers], seen


def _manager(scenario: RehearsalScenario, policy: PolicyName, twin: bool, judged: bool) -> ManagerEngine:
    """A manager with its slices from a file, as in the stack."""
    carrier = scenario.carrier.model_dump(mode="json", exclude_unset=True)
    slices = [spec.model_dump(mode="json", exclude_unset=True) for spec in scenario.specs]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump({"carrier": carrier, "slices": slices}, file)
        file.flush()
        trust = {} if judged else {"judge_share": 1.0}
        return ManagerEngine(ManagerConfig(slices_file=Path(file.name), policy=policy, twin=twin, **trust), 1)
