# SPDX-License-Identifier: Apache-2.0
"""What a relay decides, without ROS: which flows are open in the cell, what is in force, whose links are known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ir_common.journal import Engine
from ir_radio.books.cell_report import Report
from ir_radio.books.flow_counters import FlowKey
from ir_radio.cell_tables import Fate
from ir_radio.engine.cell import NEVER, Cell, CellEvent
from ir_radio.engine.cell_journal import JournaledCell, journal_of
from ir_radio.engine.delayed_cell import DelayedCell
from ir_radio.engine.line_cell import LineCell, LineLink
from ir_radio.model.carrier import Carrier
from ir_radio.model.link_traces import DelayTrace, LinkTrace, TracePlayer
from ir_radio.model.slice_specs import FlowSpec, SliceSpec

Flows = dict[FlowKey, tuple[SliceSpec, FlowSpec]]
Say = Callable[[str], None]
NO_COVERAGE = -200.0
"""SNR of a link that is cut, dB."""
_MOST_NOTICES = 1000


class RelayEngine:
    """A cell, and what is in force in it; the live relay and a simulation in the model's time both go through this.

    Whoever uses it carries the messages: it opens what `openable` names, offers each message to its flow, advances, and
    hands on what the events say has arrived. Times are ns of ROS time. Calls come from one thread.

    Args:
        carrier: the radio carrier.
        robots: names of the robots; each gets a link, in this order.
        links: measured links of some of them; the others need a pose before anything of theirs crosses.
        mini_slots: mini-slots of a slot; none: the carrier's.
        delays: measured delays of some of the links.
        lines: links of their own, one per robot, in place of the carrier; nothing is divided then.
        start: time at the start, ns.
        seed: of shadowing, fading and errors.
        edge_namespace: of the topics on the edge's side, without a slash at its end.
        journal: keep a journal of the calls to the cell, for `ir bag replay`.
        say: tells a person what is wrong, each thing once.

    Attributes:
        cell: the engine of the radio; read it, change it through this class only.
        journal: of the cell; none: it is not kept.
        specs: the slices in force, by name.
        linked: robots whose link's quality is known: by a trace, or by a pose that came.
        sequence: number of the last allocation.
        trace_change: when links change next as their traces say, ns.
    """

    def __init__(
        self, carrier: Carrier, robots: Iterable[str], links: Mapping[str, LinkTrace], *,
        mini_slots: int | None = None, delays: Mapping[str, DelayTrace] | None = None,
        lines: Mapping[str, LineLink] | None = None, start: int = 0, seed: int = 0, edge_namespace: str = "/edge",
        journal: bool = True, say: Say | None = None,
    ) -> None:  # fmt: skip
        how: dict[str, Any] = {"mini_slots": mini_slots, "start": start, "seed": seed}
        self.cell: Cell | LineCell
        if lines:
            self.cell = LineCell(lines, start=start, seed=seed)
        else:
            self.cell = DelayedCell(carrier, delays, **how) if delays else Cell(carrier, **how)
        self.journal = journal_of(self.cell, mini_slots, start, seed) if journal else None
        self._told: Engine = JournaledCell(self.cell, self.journal) if self.journal else self.cell
        self._robots, self._edge = tuple(robots), edge_namespace
        for robot in self._robots:
            self._told.apply("add_link", robot)
        self._player = TracePlayer(links, start)
        self.trace_change = 0 if links else NEVER
        self.linked = set(links) | set(lines or ())
        self._cut: frozenset[str] = frozenset()
        self.specs: dict[str, SliceSpec] = {}
        self._flows: Flows = {}
        self._open: dict[FlowKey, int] = {}
        self._allocation: tuple[Sequence[str], Sequence[float]] = ((), ())
        self.sequence = 0
        self._say, self._said = say, set[str]()

    def notice(self, text: str) -> None:
        """Tells a person of a thing, once."""
        if self._say is not None and text not in self._said and len(self._said) < _MOST_NOTICES:
            self._said.add(text)
            self._say(text)

    # --- time ---

    def begin(self, now: int) -> list[CellEvent]:
        """ROS time begins, or begins anew, at `now`, ns; returns the messages that were dropped for it."""
        events: list[CellEvent] = self._told.apply("reset_time", now)
        self._player.begin = now
        self.play()
        return events

    def play(self) -> int:
        """Has links follow their traces; returns the time of the next change, ns."""
        if self._player.traces:
            self.trace_change = self._player.play(self.cell.now, self._measured)
        return self.trace_change

    def _measured(self, robot: str, *values: float) -> None:
        if robot not in self._cut:
            self._told.apply("set_measured", robot, *values)

    def offer(self, flow: int, size: int, time: int) -> tuple[int, Fate]:
        """Offers one message of some bytes at `time`, ns, as `Cell.offer`: (id of the message, ACCEPTED or why not)."""
        answer: tuple[int, Fate] = self._told.apply("offer", flow, size, time)
        return answer

    def advance(self, time: int) -> list[CellEvent]:
        """Runs on to `time`, ns, as `Cell.advance`; returns what became of messages since the last call."""
        return self.cell.advance(time)

    def next_event(self) -> int:
        """A time before which no message leaves, ns, as `Cell.next_event`."""
        return self.cell.next_event()

    def report(self) -> Report:
        """What the cell did up to now; a new report period begins."""
        report: Report = self._told.apply("report")
        return report

    # --- what is in force ---

    def set_slices(self, specs: Mapping[str, SliceSpec]) -> tuple[list[CellEvent], list[int]]:
        """Makes `specs`, by name, the slices of the cell; the last allocation is applied to them again.

        Returns:
            (events of the messages that removed slices dropped, flows that are shut: no slice carries them any longer,
            or type or latency bound, on which their QoS rests, changed).
        """
        events: list[CellEvent] = []
        for name in [name for name in self.cell.specs if name not in specs]:
            events += self._told.apply("remove_slice", name)
        for spec in specs.values():
            self._warn_of_latency(spec)
            if self.cell.carrier.air.scheduler == "fifo" and (spec.dedicated_share > 0.0 or spec.max_share < 1.0):
                self.notice(
                    f"slice {spec.name}: dedicated_share and max_share have no effect under fifo, one line for all"
                )
            self._told.apply("set_slice", spec)
        self._allocate()
        before, self.specs = self.specs, dict(specs)
        self._flows = self._flows_of(self.specs)
        shut = [flow for key, flow in self._open.items() if not self._goes_on(key, before)]
        for flow in shut:
            self.close_flow(flow)
        return events, shut

    def set_allocation(self, slices: Sequence[str], resource_blocks: Sequence[float], sequence: int) -> str:
        """Gives slices their resource blocks, as far as the slices are known; unknown ones wait for `set_slices`.

        Args:
            slices: names.
            resource_blocks: of each of them.
            sequence: number of this allocation.

        Returns:
            Why it is refused, which is also told, and the one in force stays; empty: it is applied.
        """
        self._allocation, self.sequence = (slices, resource_blocks), sequence
        return self._allocate()

    def set_poses(self, poses: Mapping[str, tuple[float, float, float]]) -> list[str]:
        """Sets where robots are, m in the map frame: their links are known from now on; returns refusals, as text."""
        refused = []
        for robot, position in poses.items():
            if robot in self._cut:
                continue
            try:
                self._told.apply("set_pose", robot, position)
            except ValueError as error:
                refused.append(str(error))
        self.linked |= poses.keys() - self._cut
        return refused

    def cut_links(self, robots: Iterable[str]) -> None:
        """Takes these robots out of coverage, and no others.

        Nothing of theirs is let in, and what waits is served by nobody. One that was cut is back with its next pose, or
        the next value of its trace.
        """
        cut = frozenset(robots)
        for robot in sorted(cut - self._cut):
            self._told.apply("set_measured", robot, NO_COVERAGE, 0.0)
        self._cut = cut

    def _allocate(self) -> str:
        slices, blocks = self._allocation
        if len(slices) != len(blocks):
            return self._refused("names and numbers differ in length")
        given = {name: value for name, value in zip(slices, blocks, strict=True) if name in self.cell.specs}
        try:
            self._told.apply("set_allocation", given)
        except ValueError as error:
            return self._refused(str(error))
        return ""

    def _refused(self, why: str) -> str:
        self.notice(f"allocation {self.sequence}: {why}; the one in force stays")
        return why

    def _warn_of_latency(self, spec: SliceSpec) -> None:
        latency = self.cell.carrier.least_latency
        if spec.max_latency <= latency:
            self.notice(
                f"slice {spec.name}: its latency bound is {spec.max_latency * 1e3:g} ms, scheduling on this "
                f"carrier takes {latency * 1e3:g} ms: all its messages come late, or expire; raise max_latency"
            )

    # --- flows ---

    def flows(self) -> Flows:
        """Every topic of every robot that crosses the radio, with what carries it; of two slices, the first does."""
        return self._flows

    def openable(self) -> Flows:
        """The flows whose robot's link is known and that are not open."""
        return {
            key: carried
            for key, carried in self._flows.items()
            if key.robot in self.linked and key not in self._open
        }  # fmt: skip

    def open_flow(self, key: FlowKey) -> int:
        """Opens a flow; returns its number, for `offer`.

        Raises:
            KeyError: its slice is not in force.
        """
        flow: int = self._told.apply("flow", key)
        self._open[key] = flow
        return flow

    def close_flow(self, flow: int) -> None:
        """Closes a flow; what is queued goes its way."""
        self._told.apply("close_flow", flow)
        del self._open[self.cell.key(flow)]

    def topics(self, key: FlowKey) -> tuple[str, str]:
        """Source and target topic of a flow; the robot's side is relative."""
        sides = (f"{key.robot}/{key.topic}", f"{self._edge}/{key.robot}/{key.topic}")
        return sides if key.direction == "uplink" else sides[::-1]

    def _goes_on(self, key: FlowKey, before: Mapping[str, SliceSpec]) -> bool:
        """Does an open flow stay as it is, given the slices before?"""
        if key not in self._flows or key.slice not in before:
            return False
        now, then = self._flows[key][0], before[key.slice]
        return (now.type, now.max_latency) == (then.type, then.max_latency)

    def _flows_of(self, specs: Mapping[str, SliceSpec]) -> Flows:
        flows: dict[tuple[str, str, str], tuple[FlowKey, SliceSpec, FlowSpec]] = {}
        for spec in specs.values():
            for flow in spec.flows:
                for robot in filter(flow.carries, self._robots):
                    key = FlowKey(spec.name, robot, flow.topic, flow.direction)
                    first = flows.setdefault(key[1:], (key, spec, flow))
                    if first[1] is not spec:
                        self.notice(
                            f"{robot}/{flow.topic} ({flow.direction}) is in slices {first[1].name} and {spec.name}; "
                            f"{first[1].name} carries it"
                        )
        return {key: (spec, flow) for key, spec, flow in flows.values()}
