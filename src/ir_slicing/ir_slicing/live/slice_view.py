# SPDX-License-Identifier: Apache-2.0
"""Views of one slice for its agent: what the radio reports of that slice, and nothing of the others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ir_radio.books.cell_report import FlowRow, Report, SliceRow
from ir_slicing.allocation.slice_loads import dropped, missed

NANOSECONDS = 1_000_000_000
NO_BOUNDS: Mapping[str, float] = {}

_Counters = tuple[int, int]
_NO_FLOWS: Mapping[str, FlowRow] = {}


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
        others_missed: share of the other slices that missed their latency bounds, as far as these are known.
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
    others_missed: float = 0.0


class SortedReport:
    """A report of the radio by slice: sorted once for all the slices.

    Args:
        report: from the radio.
        bounds: latency bounds of slices, s.

    Attributes:
        time: ns of ROS time.
        rows: slice -> its row.
        flows: slice -> device -> its row.
        rates: robot -> bit/s of one RB on its link, where that is known and not 0.
        missed: slices that missed their bounds.
    """

    def __init__(self, report: Report, bounds: Mapping[str, float] = NO_BOUNDS) -> None:
        self.time = report.time
        self.rows: dict[str, SliceRow] = {row.slice: row for row in report.slices}
        self.flows: dict[str, dict[str, FlowRow]] = {}
        for flow in report.flows:
            self.flows.setdefault(flow.slice, {})[f"{flow.robot}/{flow.topic}/{flow.direction}"] = flow
        self.missed = {row.slice for row in report.slices if row.slice in bounds and missed(row, bounds[row.slice])}
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
        ends, self._ends = self._ends, (row.counters.delivered, dropped(row.counters))
        offered, packet, rates, fell = self._arrivals(report, seconds)
        if ends is None or fell or self._ends[0] < ends[0] or self._ends[1] < ends[1]:
            return None
        return SliceView(
            time=time,
            devices=tuple(self._offered),
            offered=tuple(offered),
            packet=tuple(packet),
            block_rate=tuple(rates),
            queued=8.0 * row.counters.queued_bytes,
            allocated=row.resource_blocks,
            delay=row.recent_delay.p99,
            delivered=self._ends[0] - ends[0],
            dropped=self._ends[1] - ends[1],
            slices=len(report.rows),
            carrier=float(carrier),
            others_missed=(len(report.missed) - (self.name in report.missed)) / max(len(report.rows) - 1, 1),
        )

    def _arrivals(self, report: SortedReport, seconds: float) -> tuple[list[float], list[float], list[float], bool]:
        """Of each device since the report before: bit/s, bit a message, bit/s of one RB; and whether counters fell."""
        before, self._offered, fell = self._offered, {}, False
        offered, packet, rates = [], [], []
        for device, flow in report.flows.get(self.name, _NO_FLOWS).items():
            counters, old = flow.counters, before.get(device)
            size, count = counters.offered_bytes, counters.offered
            self._offered[device] = size, count
            if old is not None:
                size, count = size - old[0], count - old[1]
                fell = fell or size < 0
            if count > 0 <= size:
                self._packet[device] = 8.0 * size / count
            offered.append(8.0 * size / seconds)
            packet.append(self._packet.get(device, 0.0))
            rates.append(report.rates.get(flow.robot, 0.0))
        return offered, packet, rates, fell
