# SPDX-License-Identifier: Apache-2.0
"""Views of one slice for its agent: what the radio reports of that slice, and nothing of the others."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ir_radio.books.cell_report import FlowRow, LinkRow, Report
from ir_slicing.allocation.slice_loads import dropped

Floats = NDArray[np.float64]
NANOSECONDS = 1_000_000_000

_Counters = tuple[int, int]


@dataclass(frozen=True)
class SliceView:
    """One report period of a slice: all that its agent may know.

    Attributes:
        time: s of ROS time at the end of the period.
        devices: names, one for each topic of each robot.
        offered: [device] float64, bit/s.
        packet: [device] float64, bit: mean size of the device's messages.
        block_rate: [device] float64, bit/s of one RB on the device's link; 0 where unknown.
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
    offered: Floats
    packet: Floats
    block_rate: Floats
    queued: float
    allocated: float
    delay: float
    delivered: int
    dropped: int
    slices: int
    carrier: float


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

    def read(self, report: Report, carrier: float) -> SliceView | None:
        """The slice's view of the time since the report before; none where it stands not in it, or for the first two.

        The first one gives a time, the second one counters to subtract from. Counters that fell mean that the radio was
        started again. A report that was skipped is part of the time since.

        Args:
            report: from the radio.
            carrier: RB of the carrier.
        """
        time = report.time / NANOSECONDS
        seconds, self._time = time - self._time, time
        row = next((row for row in report.slices if row.slice == self.name), None)
        if row is None or not 0.0 < seconds < math.inf:
            self._offered, self._ends = {}, None
            return None
        flows = {_device(flow): flow for flow in report.flows if flow.slice == self.name}
        ends, self._ends = self._ends, (row.counters.delivered, dropped(row.counters))
        new = self._arrivals(flows)
        sizes = [size for size, _ in new.values()]
        if ends is None or min([*sizes, self._ends[0] - ends[0], self._ends[1] - ends[1]]) < 0:
            return None
        self._packet.update({device: 8.0 * size / count for device, (size, count) in new.items() if count > 0})
        return SliceView(
            time=time,
            devices=tuple(flows),
            offered=8.0 * np.array(sizes, np.float64) / seconds,
            packet=np.array([self._packet.get(device, 0.0) for device in flows]),
            block_rate=_block_rates(flows.values(), report.links),
            queued=8.0 * row.counters.queued_bytes,
            allocated=row.resource_blocks,
            delay=row.recent_delay.p99,
            delivered=self._ends[0] - ends[0],
            dropped=self._ends[1] - ends[1],
            slices=len(report.slices),
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


def _block_rates(flows: Iterable[FlowRow], links: Iterable[LinkRow]) -> Floats:
    """[device] float64, bit/s of one RB on the link of each device's robot; 0 where it is unknown."""
    rates = {link.robot: link.rate for link in links if math.isfinite(link.rate) and link.rate > 0.0}
    return np.array([rates.get(flow.robot, 0.0) for flow in flows])


def _device(flow: FlowRow) -> str:
    return f"{flow.robot}/{flow.topic}/{flow.direction}"
