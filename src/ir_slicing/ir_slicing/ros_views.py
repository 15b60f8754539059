# SPDX-License-Identifier: Apache-2.0
"""From the radio's reports to what the agent of one slice may see: the rows of its own slice."""

from __future__ import annotations

import math

import numpy as np

from ir_common.ros_time import to_seconds
from ir_interfaces.msg import CellReport, FlowReport
from ir_slicing.ros_reports import dropped
from ir_slicing.slice_agent import SliceView

_Counters = tuple[int, int]


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

    def read(self, report: CellReport) -> SliceView | None:
        """The slice's view of the time since the report before; nothing where it stands not in it, or for the first.

        Counters that fell mean that the radio was started again: that report is a first one. One that was skipped is
        part of the time since.
        """
        time = to_seconds(report.header.stamp)
        seconds, self._time = time - self._time, time
        row = next((row for row in report.slices if row.slice == self.name), None)
        if row is None or not 0.0 < seconds < math.inf:
            self._offered, self._ends = {}, None
            return None
        flows = {_device(flow): flow for flow in report.flows if flow.slice == self.name}
        before, self._offered = self._offered, {
            device: (flow.books.offered_bytes, flow.books.offered_messages) for device, flow in flows.items()
        }  # fmt: skip
        ends, self._ends = self._ends, (row.books.delivered_messages, dropped(row.books))
        new = [self._offered[device][0] - before.get(device, (0, 0))[0] for device in flows]
        if ends is None or min([*new, self._ends[0] - ends[0], self._ends[1] - ends[1]]) < 0:
            return None
        for device, size in zip(flows, new, strict=True):
            count = self._offered[device][1] - before.get(device, (0, 0))[1]
            if count > 0:
                self._packet[device] = 8.0 * size / count
        rates = {link.robot: link.rate for link in report.links if math.isfinite(link.rate) and link.rate > 0.0}
        return SliceView(
            time=time,
            devices=tuple(flows),
            offered=8.0 * np.array(new, np.float64) / seconds,
            packet=np.array([self._packet.get(device, 0.0) for device in flows]),
            block_rate=np.array([rates.get(flow.robot, 0.0) for flow in flows.values()]),
            queued=8.0 * row.books.queued_bytes,
            allocated=row.resource_blocks,
            delay=row.recent_delay.p99,
            delivered=self._ends[0] - ends[0],
            dropped=self._ends[1] - ends[1],
            slices=len(report.slices),
            carrier=float(report.resource_blocks),
        )


def _device(flow: FlowReport) -> str:
    return f"{flow.robot}/{flow.topic}/{flow.direction}"
