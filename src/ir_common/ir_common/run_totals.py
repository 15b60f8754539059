# SPDX-License-Identifier: Apache-2.0
"""Totals of one run, put together from the stack's messages, for the monitor's report and the page.

The messages count since the start of the node that sends them. When such a node dies and comes back, its counts begin
at zero again; the totals here go on. The functions read messages by their fields alone, so plain objects do as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ir_common.diagnosis import AGENT
from ir_common.slice_kinds import KEYS, LABELS
from ir_common.verdict_kinds import COUNTS

LOST_WITH_NODE = "node_restart"
"""Reason under which messages are counted that were queued in a relay that died."""

_TASK_COUNTS = ("distance", "reward", "episodes", "steps", "falls", "collisions", "goals", "stops")


class Counters:
    """Numbers that only grow while the process that counts them lives."""

    def __init__(self, names: tuple[str, ...], clock: str) -> None:
        self._clock = clock
        self._base = dict.fromkeys(names, 0.0)
        self._last = dict.fromkeys(names, 0.0)

    def update(self, values: dict[str, float]) -> None:
        """Takes the newest counts; a ``clock`` count that went down means a new process."""
        if values[self._clock] < self._last[self._clock]:
            self._base = self.totals()
        self._last = {name: float(values[name]) for name in self._last}

    def totals(self) -> dict[str, float]:
        """Counts over all processes so far."""
        return {name: self._base[name] + self._last[name] for name in self._base}


@dataclass
class SliceTotals:
    """Counters of one slice over all relays that carried it; messages and bytes in one pair."""

    spec_type: int = 0
    resource_blocks: float = 0.0
    offered_rate: float = 0.0
    delivered_rate: float = 0.0
    delay: dict[str, float] = field(default_factory=dict)
    recent_delay: dict[str, float] = field(default_factory=dict)
    _base: dict[str, tuple[int, int]] = field(default_factory=dict)
    _last: dict[str, tuple[int, int]] = field(default_factory=dict)

    def update(self, report: Any) -> None:
        """Takes one `SliceReport`."""
        counts = _flow_counts(report.books)
        if counts["offered"] < self._last.get("offered", (0, 0)):
            for name, pair in self._last.items():
                self._add(f"dropped {LOST_WITH_NODE}" if name == "queued" else name, pair)
        self._last = counts
        self.spec_type, self.resource_blocks = int(report.type), float(report.resource_blocks)
        self.offered_rate, self.delivered_rate = float(report.offered_rate), float(report.delivered_rate)
        self.delay, self.recent_delay = _delay(report.delay), _delay(report.recent_delay)

    def _add(self, name: str, pair: tuple[int, int]) -> None:
        there = self._base.get(name, (0, 0))
        self._base[name] = (there[0] + pair[0], there[1] + pair[1])

    def counts(self) -> dict[str, tuple[int, int]]:
        """(messages, bytes) under ``offered``, ``delivered``, ``queued`` and ``dropped <reason>``."""
        nothing = (0, 0)
        counts = {}
        for name in sorted({*self._base, *self._last}):
            base, last = self._base.get(name, nothing), self._last.get(name, nothing)
            counts[name] = (base[0] + last[0], base[1] + last[1])
        return counts

    def as_dict(self) -> dict[str, Any]:
        """The slice's part of the report."""
        counts = self.counts()
        pairs = {name: {"messages": pair[0], "bytes": pair[1]} for name, pair in counts.items()}
        dropped = {
            name.removeprefix("dropped "): pairs.pop(name) for name in list(pairs) if name.startswith("dropped ")
        }
        accounted = [sum(p[i] for name, p in counts.items() if name != "offered") for i in (0, 1)]
        return {
            "type": LABELS.get(KEYS.get(self.spec_type, ""), str(self.spec_type)),
            "resource_blocks": self.resource_blocks,
            **pairs,
            "dropped": dropped,
            "balanced": accounted == list(counts.get("offered", (0, 0))),
            "delay_seconds": {name: _finite(value) for name, value in self.delay.items()},
        }


@dataclass
class RobotTotals:
    """What one robot did and what the twin said of it."""

    task: str = ""
    counts: Counters = field(default_factory=lambda: Counters(_TASK_COUNTS, "steps"))
    verdicts: Counters = field(default_factory=lambda: Counters(COUNTS, "proposals"))
    latency_p50: float = math.nan
    latency_p99: float = math.nan
    model_version: int = 0

    def update_task(self, status: Any) -> None:
        """Takes one `TaskStatus`."""
        self.task = status.task
        self.counts.update({name: getattr(status, name) for name in _TASK_COUNTS})

    def update_twin(self, status: Any) -> None:
        """Takes one `TwinStatus`."""
        self.verdicts.update({name: getattr(status, name) for name in COUNTS})
        self.latency_p50, self.latency_p99 = status.latency_p50, status.latency_p99
        self.model_version = int(status.model_version)

    def as_dict(self) -> dict[str, Any]:
        """The robot's part of the report."""
        counts = self.counts.totals()
        whole = {name: int(value) for name, value in counts.items() if name not in ("distance", "reward")}
        verdicts: dict[str, Any] = {name: int(value) for name, value in self.verdicts.totals().items()}
        verdicts["latency_seconds"] = {"p50": _finite(self.latency_p50), "p99": _finite(self.latency_p99)}
        verdicts["model_version"] = self.model_version
        moved = {"distance_metres": counts["distance"], "reward": counts["reward"]}
        return {"task": self.task, **moved, **whole, "verdicts": verdicts}


@dataclass
class FederationTotals:
    """Rounds of the slices' agents; bytes and refused updates over all managers that there were."""

    round: int = 0
    participants: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    _base: dict[str, int] = field(default_factory=dict)
    _last: dict[str, int] = field(default_factory=dict)

    def update(self, status: Any) -> None:
        """Takes one `FederationStatus`; bytes that went down mean a new manager."""
        refused = zip(status.refused_reasons, status.refused, strict=True)
        counts = {"bytes_up": int(status.bytes_up), "bytes_down": int(status.bytes_down)}
        counts |= {f"refused {reason}": int(count) for reason, count in refused}
        if any(counts.get(name, 0) < count for name, count in self._last.items()):
            self._base = self.counts()
        self._last = counts
        self.round, self.participants, self.silent = int(status.round), [*status.participants], [*status.silent]

    def counts(self) -> dict[str, int]:
        """``bytes_up``, ``bytes_down`` and ``refused <reason>``."""
        names = sorted({*self._base, *self._last})
        return {name: self._base.get(name, 0) + self._last.get(name, 0) for name in names}

    def refused(self) -> dict[str, int]:
        """Refused updates by reason."""
        begin = "refused "
        return {name.removeprefix(begin): n for name, n in self.counts().items() if name.startswith(begin)}

    def as_dict(self) -> dict[str, Any]:
        """The federation's part of the report; participants and silent slices are those of the last round."""
        counts = self.counts()
        return {
            "round": self.round,
            "participants": self.participants,
            "silent": self.silent,
            "refused": self.refused(),
            "bytes_up": counts["bytes_up"],
            "bytes_down": counts["bytes_down"],
        }


@dataclass
class HostTotals:
    """How far a run was the model's and how far the host's, from the last report of the simulator.

    Attributes:
        message: its `HostReport`; none: no simulator of ours, or none yet.
        model_time: the run is in the model's time: there is no host in it.
    """

    message: Any = None
    model_time: bool = False

    MODELS = 1e-3
    """s of simulated time; commands that are no later than this (p99) took effect when the model says."""

    @property
    def pace(self) -> float:
        """Simulated seconds per second since the run began; NaN: not known."""
        one = self.message
        return one.simulated / one.wall if one and one.wall > 0 else math.nan

    @property
    def models(self) -> bool | None:
        """Whether commands took effect when the model says; None: not known."""
        if self.model_time:
            return True
        if self.message is None or not self.message.commands:
            return None
        return bool(self.message.late_p99 < self.MODELS and not self.message.silent)

    @property
    def line(self) -> str:
        """Whether the run's numbers are the model's or the host's, in one line."""
        one = self.message
        if self.model_time:
            return "the model's numbers: nothing depends on the host"
        if one is None:
            return "not known whether these are the model's numbers or the host's: no simulator says so"
        if not one.commands:
            return "not known whether these are the model's numbers or the host's: no command answered a state"
        if one.silent:
            return f"the host's numbers for {', '.join(one.silent)}: nobody answers in time, and nobody is waited for"
        if self.models:
            return "the model's numbers: commands took effect when the radio delivered them"
        cure = "it is too slow" if one.sync else "sync:=on waits for them"
        return f"the host's numbers: commands took effect up to {one.late_p99 * 1e3:.0f} ms late (p99); {cure}"

    @property
    def lacks(self) -> list[str]:
        """What is missing in the simulator, and which robots do not act for it, one line each."""
        return list(self.message.lacks) if self.message else []

    def as_dict(self) -> dict[str, Any] | None:
        """The host's part of the report."""
        one = self.message
        if self.model_time:
            return {"line": self.line, "models_numbers": self.models}
        if one is None:
            return None
        late = {"p50": one.late_p50, "p99": one.late_p99, "max": one.late_max}
        return {
            "line": self.line,
            "models_numbers": self.models,
            "sync": bool(one.sync),
            "pace": _finite(self.pace),
            "commands": int(one.commands),
            "late_seconds": {name: _finite(value) for name, value in late.items()},
            "waits": {"count": int(one.waits), "wall_seconds": float(one.waited), "given_up": int(one.given_up)},
            "silent": list(one.silent),
            "lacks": self.lacks,
        }


MAX_WARNINGS = 200


class RunTotals:
    """Everything that the table shows and the report holds.

    Args:
        robots: names of the robots that are expected.
    """

    def __init__(self, robots: list[str]) -> None:
        self.robots = {name: RobotTotals() for name in robots}
        self.slices: dict[str, SliceTotals] = {}
        self.agents: dict[str, dict[str, float | str | None]] = {}
        """Figures of the agents that learn live, by task, as `ir_drl.live.live_agent.LiveAgent.status` has them."""
        self.federation: FederationTotals | None = None
        """None while nobody federates."""
        self.host = HostTotals()
        self.allocation_changes = 0
        self.simulated_seconds = 0.0
        self.processes: dict[str, list[tuple[str, int]]] = {}
        """(host, process id) of each start of each node."""
        self.warnings: dict[str, None] = {}
        """What nodes or engines warned of, each once, in the order in which it was first told."""
        self._restarts: dict[str, int] = {}
        self._clock: float | None = None
        self._allocation: tuple[int, int] = (0, 0)

    def update_clock(self, now: float) -> None:
        """Takes the ROS time, s; a step back (a simulator that started again) takes nothing away."""
        if self._clock is None:
            self.simulated_seconds = now
        elif now > self._clock:
            self.simulated_seconds += now - self._clock
        self._clock = now

    def update_host(self, report: Any) -> None:
        """Takes one `HostReport`."""
        self.host.message = report

    def update_cell(self, report: Any) -> None:
        """Takes one `CellReport`."""
        for one in report.slices:
            self.slices.setdefault(one.slice, SliceTotals()).update(one)
        for name in self.slices.keys() - {one.slice for one in report.slices}:
            self.slices[name].resource_blocks = 0.0

    def update_allocation(self, allocation: Any) -> None:
        """Takes one `Allocation`; its sequence counts the changes since its manager's start."""
        base, last = self._allocation
        if allocation.sequence < last:
            base += last
        self._allocation = (base, int(allocation.sequence))
        self.allocation_changes = sum(self._allocation)

    def update_federation(self, status: Any) -> None:
        """Takes one `FederationStatus`."""
        self.federation = self.federation or FederationTotals()
        self.federation.update(status)

    def update_agent(self, task: str, figures: Mapping[str, float | str]) -> None:
        """Takes the figures of the agent of a task."""
        self.agents[task] = {
            name: value if isinstance(value, str) else _finite(float(value)) for name, value in figures.items()
        }

    def update_diagnostics(self, message: Any) -> bool:
        """Takes a DiagnosticArray; says whether an agent's figures were in it."""
        told = [one for one in message.status if one.name.startswith(AGENT)]
        for one in told:
            self.update_agent(one.name.removeprefix(AGENT), {pair.key: _number(pair.value) for pair in one.values})
        return bool(told)

    def update_node(self, status: Any) -> None:
        """Takes one `NodeStatus`."""
        known = self.processes.setdefault(status.name, [])
        process = (status.host, int(status.process_id))
        if process not in known:
            known.append(process)
            counted = self._restarts.get(status.name, 0)  # one that died young told nothing
            self._restarts[status.name] = max(counted, len(known) - 1, status.restarts)

    def update_restarts(self, counts: dict[str, int]) -> None:
        """Takes what the launcher has counted; it knows of programs that are no nodes of the stack, too."""
        for name, count in counts.items():
            self._restarts[name] = max(self._restarts.get(name, 0), count)

    def warn(self, text: str) -> None:
        """Takes a warning; after `MAX_WARNINGS` different ones no more, so that a long run's stay a few."""
        if len(self.warnings) < MAX_WARNINGS:
            self.warnings.setdefault(text)

    def restarts(self) -> dict[str, int]:
        """How often each node was started again, nodes that never were included."""
        return dict(sorted(self._restarts.items()))

    def as_dict(self, wall_seconds: float, arguments: dict[str, Any]) -> dict[str, Any]:
        """The report, ready for JSON (no NaN: a figure that is not there is null)."""
        return {
            "arguments": arguments,
            "simulated_seconds": self.simulated_seconds,
            "wall_seconds": wall_seconds,
            "host": self.host.as_dict(),
            "robots": {name: robot.as_dict() for name, robot in self.robots.items()},
            "slices": {name: self.slices[name].as_dict() for name in sorted(self.slices)},
            "allocation_changes": self.allocation_changes,
            "agents": self.agents,
            "federation": self.federation.as_dict() if self.federation else None,
            "restarts": self.restarts(),
            "warnings": list(self.warnings),
        }


def _flow_counts(books: Any) -> dict[str, tuple[int, int]]:
    pairs = {
        name: (int(getattr(books, f"{name}_messages")), int(getattr(books, f"{name}_bytes")))
        for name in ("offered", "delivered", "queued")
    }
    return pairs | {f"dropped {drop.reason}": (int(drop.messages), int(drop.bytes)) for drop in books.dropped}


def _delay(delay: Any) -> dict[str, float]:
    return {name: float(getattr(delay, name)) for name in ("mean", "p50", "p99", "max")}


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
