# SPDX-License-Identifier: Apache-2.0
"""The radio of a simulated run: every message of a flow passes the cell and is published when its last bit is there."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from ir_lab.model_time.agenda import NANOSECONDS, NEVER, Agenda
from ir_lab.model_time.bus import Bus, BusSample
from ir_lab.model_time.faults import Fault
from ir_lab.model_time.ros_samples import CellReportSample, MessageSample, ReadingSample
from ir_radio.books.flow_counters import FlowKey
from ir_radio.cell_tables import Fate
from ir_radio.engine.cell import CellEvent
from ir_radio.engine.relay_engine import RelayEngine
from ir_sim.readings import Odometry

Position = tuple[float, float, float]


class RadioPart:
    """Carries the flows of the slices across the radio.

    Args:
        agenda, bus: of the run.
        relay: the engine of the live relay, with its links.
        pose_topic: relative topic of a robot's pose.
        pose_rate: Hz at which poses are read.
        report_rate: Hz of reports.
        starts: where the robots are at the start, m.

    Attributes:
        relay: as given.
    """

    def __init__(
        self, agenda: Agenda, bus: Bus, relay: RelayEngine, pose_topic: str, pose_rate: float, report_rate: float,
        starts: Mapping[str, Position],
    ) -> None:  # fmt: skip
        self._agenda, self._bus, self.relay = agenda, bus, relay
        self._held: dict[int, tuple[str, BusSample]] = {}
        self._ports: dict[int, tuple[str, Any]] = {}
        self._poses: dict[str, Position] = {}
        self._cut: dict[str, int] = {}
        self._due = NEVER
        relay.begin(agenda.now)
        relay.set_poses({robot: at for robot, at in starts.items() if robot not in relay.linked})
        for robot in starts:
            bus.listen(f"/{robot}/{pose_topic}", partial(self._on_pose, robot))
        agenda.every(round(NANOSECONDS / pose_rate), self._read_poses)
        agenda.every(round(NANOSECONDS / report_rate), self.report)
        self._reported = agenda.now

    # --- slices ---

    def set_slices(self, specs: Mapping[str, Any]) -> None:
        """The slices become these."""
        self._settle()
        events, shut = self.relay.set_slices(dict(specs))
        self._finish(events)
        for flow in shut:
            topic, listener = self._ports.pop(flow)
            self._bus.leave(topic, listener)
        self._open_flows()
        self._plan()

    def set_allocation(self, blocks: Mapping[str, float], sequence: int) -> None:
        """The carrier is divided anew."""
        self._settle()
        self.relay.set_allocation(list(blocks), list(blocks.values()), sequence)
        self._plan()

    def _open_flows(self) -> None:
        for key in list(self.relay.openable()):
            source, target = (f"/{topic.lstrip('/')}" for topic in self.relay.topics(key))
            flow = self.relay.open_flow(key)
            listener = partial(self._on_sample, flow, target)
            self._ports[flow] = (source, listener)
            self._bus.listen(source, listener)

    # --- messages ---

    def _on_sample(self, flow: int, target: str, sample: BusSample) -> None:
        self._offer(flow, sample.size(), target, sample)

    def _offer(self, flow: int, size: int, target: str, sample: BusSample) -> None:
        number, fate = self.relay.offer(flow, size, self._agenda.now)
        if fate == Fate.ACCEPTED:
            self._held[number] = (target, sample)
        self._plan()

    def _plan(self) -> None:
        """Looks at the cell again when the next message may leave it."""
        due = self.relay.next_event()
        if due != NEVER and not self._agenda.now <= self._due <= due:
            self._due = max(due, self._agenda.now)
            self._agenda.at(self._due, self._wake, self._due)

    def _wake(self, due: int) -> None:
        if due != self._due:
            return  # another look was planned for an earlier instant meanwhile
        self._due = NEVER
        self._settle()
        self._plan()

    def _settle(self) -> None:
        self._finish(self.relay.advance(self._agenda.now))

    def _finish(self, events: list[CellEvent]) -> None:
        for event in events:
            target, sample = self._held.pop(event.id)
            if event.fate == Fate.DELIVERED:
                self._bus.publish(target, sample)

    # --- poses, reports ---

    def _on_pose(self, robot: str, sample: ReadingSample) -> None:
        value = sample.reading.value
        assert isinstance(value, Odometry)
        x, y, z = value.position.tolist()
        self._poses[robot] = (x, y, z)

    def _read_poses(self) -> None:
        self._settle()
        poses, self._poses = self._poses, {}
        if poses:
            self.relay.set_poses(poses)
            self._open_flows()
        if self._agenda.now >= self.relay.trace_change:
            self.relay.play()
        self._plan()

    def report(self) -> None:
        """Publishes what the cell did since the last report; nothing at the very instant of that."""
        if self._reported == self._agenda.now:
            return
        self._reported = self._agenda.now
        self._settle()
        relay = self.relay
        self._bus.publish("/radio/report", CellReportSample(relay.report(), relay.cell.carrier, relay.sequence))
        self._plan()

    # --- faults ---

    def schedule(self, fault: Fault) -> None:
        """Has a fault begin and end at its times."""
        begin, end = round(fault.at * NANOSECONDS), round((fault.at + fault.duration) * NANOSECONDS)
        if fault.kind == "link_cut":
            self._agenda.at(begin, self._cut_link, fault.robot, 1)
            self._agenda.at(end, self._cut_link, fault.robot, -1)
        else:
            self._agenda.at(begin, self._load, fault, begin, end, 0)

    def _cut_link(self, robot: str, change: int) -> None:
        """One fault more or less that keeps a robot out of coverage."""
        self._settle()
        self._cut[robot] = self._cut.get(robot, 0) + change
        self.relay.cut_links(name for name, faults in self._cut.items() if faults)
        self._plan()

    def _load(self, fault: Fault, begin: int, end: int, count: int) -> None:
        """One message of a load; the next follows evenly."""
        if fault.slice in self.relay.cell.specs:
            key = FlowKey(fault.slice, fault.robot, "load", fault.direction)
            self._offer(self.relay.cell.flow(key), fault.size, "", MessageSample(None))
        following = begin + round((count + 1) * 8.0 * fault.size / fault.rate * NANOSECONDS)
        if following < end:
            self._agenda.at(following, self._load, fault, begin, end, count + 1)
