# SPDX-License-Identifier: Apache-2.0
"""Views of one slice for its agent: what the radio reports of that slice, and nothing of the others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ir_radio.books.cell_report import FlowRow, Report, SliceRow
from ir_slicing.allocation.slice_loads import dropped

NANOSECONDS = 1_000_000_000

_Counters = tuple[int, int]


@dataclass(slots=True)
class SliceView:
    """One report period of a slice: all that its agent may know.

    Not frozen, since there is one for each of hundreds of slices in every report, and a frozen one takes thrice as long
    to make; nobody changes it.

    Attributes:
        time: s of ROS time at the end of the period.
        devices: names, one for each topic of each robot.
        offered: [device] bit/s.
        packet: [device] bit: mean size of the device's messages.
        block_rate: [device] bit/s of one RB on the device's link; 0 where unknown.
        queued: bit that wait.
        allocated: RB that the slice has.
        delay: p99 of the period, s; NaN where nothing was delivered.
        delivered: messages in the period.
        dropped: messages in the period.
        slices: number of slices that share the carrier.
        carrier: RB of the carrier.
    """

    time: float
    devices: tuple[str, ...]
    offered: tuple[float, ...]
    packet: tuple[float, ...]
    block_rate: tuple[float, ...]
    queued: float
    allocated: float
    delay: float
    delivered: int
    dropped: int
    slices: int
    carrier: float


class SortedReport:
    """A report of the radio by slice: sorted once for all the slices.

    Args:
        report: from the radio.

    Attributes:
        time: ns of ROS time.
        rows: slice -> its row.
        flows: slice -> device -> its row.
        rates: robot -> bit/s of one RB on its link, where that is known and not 0.
    """

    def __init__(self, report: Report) -> None:
        self.time = report.time
        self.rows: dict[str, SliceRow] = {row.slice: row for row in report.slices}
        self.flows: dict[str, dict[str, FlowRow]] = {}
        for flow in report.flows:
            self.flows.setdefault(flow.slice, {})[f"{flow.robot}/{flow.topic}/{flow.direction}"] = flow
        self.rates = {link.robot: link.rate for link in report.links if math.isfinite(link.rate) and link.rate > 0.0}


class ViewReader:
    """Views of one slice, report by report.

    Args:
        name: of the slice.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._offered: dict[str, _Counters] = {}
        self._ends: _Counters | None = None
        self._packet: dict[str, float] = {}
        self._time = -math.inf

    def read(self, report: SortedReport, carrier: float) -> SliceView | None:
        """The slice's view of the time since the report before; none where it stands not in it, or for the first two.

        The first one gives a time, the second one counters to subtract from. Counters that fell mean that the radio was
        started again. A report that was skipped is part of the time since.

        Args:
            report: from the radio, sorted.
            carrier: RB of the carrier.
        """
        time = report.time / NANOSECONDS
        seconds, self._time = time - self._time, time
        row = report.rows.get(self.name)
        if row is None or not 0.0 < seconds < math.inf:
            self._offered, self._ends = {}, None
            return None
        flows = report.flows.get(self.name, {})
        ends, self._ends = self._ends, (row.counters.delivered, dropped(row.counters))
        new = self._arrivals(flows)
        sizes = [size for size, _ in new.values()]
        if ends is None or min([*sizes, self._ends[0] - ends[0], self._ends[1] - ends[1]]) < 0:
            return None
        self._packet.update({device: 8.0 * size / count for device, (size, count) in new.items() if count > 0})
        return SliceView(
            time=time,
            devices=tuple(flows),
            offered=tuple([8.0 * size / seconds for size in sizes]),
            packet=tuple([self._packet.get(device, 0.0) for device in flows]),
            block_rate=tuple([report.rates.get(flow.robot, 0.0) for flow in flows.values()]),
            queued=8.0 * row.counters.queued_bytes,
            allocated=row.resource_blocks,
            delay=row.recent_delay.p99,
            delivered=self._ends[0] - ends[0],
            dropped=self._ends[1] - ends[1],
            slices=len(report.rows),
            carrier=float(carrier),
        )

    def _arrivals(self, flows: Mapping[str, FlowRow]) -> dict[str, _Counters]:
        """Bytes and messages that each device offered since the report before."""
        before, self._offered = self._offered, {
            device: (flow.counters.offered_bytes, flow.counters.offered) for device, flow in flows.items()
        }  # fmt: skip
        new = {}
        for device, (size, count) in self._offered.items():
            old_size, old_count = before.get(device, (0, 0))
            new[device] = size - old_size, count - old_count
        return new
