# SPDX-License-Identifier: Apache-2.0
"""What the relay says on /diagnostics: one status for each flow, and one for the relay itself."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from ir_common.ros_time import to_stamp
from ir_radio.books.cell_report import FlowCounters
from ir_radio.ros.ros_pump import Port
from ir_radio.ros.ros_qos import PortEvents

_OK, _WARN, _ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
_LATE_RELAY = 5e-3


class Diagnostics:
    """Turns counts into statuses; a status warns of what is new since the last one."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[int, int]] = {}

    def message(
        self,
        time: int,
        ports: Mapping[int, Port],
        counters: Mapping[int, FlowCounters],
        events: Mapping[int, PortEvents],
        lags: list[int],
        refused_allocations: int = 0,
    ) -> DiagnosticArray:
        """The message.

        Args:
            time: ROS time, ns.
            ports, counters: of each flow.
            events: of each flow that is a topic.
        lags: how long after its last bit each of the last messages was published, ns.
            refused_allocations: since the start; the ones before them stayed in force.
        """
        array = DiagnosticArray(status=[_relay(lags, refused_allocations)])
        array.header.stamp = to_stamp(time)
        for flow, port in ports.items():
            if flow in counters:
                array.status.append(self._flow(port, counters[flow], events.get(flow)))
        return array

    def _flow(self, port: Port, counters: FlowCounters, events: PortEvents | None) -> DiagnosticStatus:
        expired = counters.dropped.get("expired", (0, 0))[0]
        now, before = (expired, port.late), self._before.get(port.name, (0, 0))
        self._before[port.name] = now
        level, text = _OK, "in time"
        mismatches = events.mismatches if events else []
        if mismatches:
            level, text = _ERROR, "; ".join(mismatches)
        elif now != before:
            level = _WARN
            text = f"{max(0, now[0] - before[0])} messages expired, {max(0, now[1] - before[1])} came late"
        values = {
            "slice": port.slice,
            "type": "urllc" if port.urllc else "embb",
            "latency bound (s)": f"{port.bound / 1e9:g}",
            "offered": counters.offered,
            "delivered": counters.delivered,
            "dropped": sum(messages for messages, _ in counters.dropped.values()),
            "queued": counters.queued,
            "expired": expired,
            "late": port.late,
            "deadline missed": events.deadline_missed if events else 0,
            "qos mismatches": len(mismatches),
        }
        return DiagnosticStatus(
            level=level, name=f"radio: {port.name}", message=text, hardware_id=port.robot,
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
        )  # fmt: skip


def _relay(lags: list[int], refused_allocations: int) -> DiagnosticStatus:
    p50, p99 = (float(x) / 1e9 for x in np.percentile(lags, (50, 99))) if lags else (0.0, 0.0)
    late = p99 > _LATE_RELAY
    return DiagnosticStatus(
        level=_WARN if late else _OK,
        name="radio: relay",
        message="messages go out late: this machine is busy" if late else "messages go out when their last bit came",
        values=[
            KeyValue(key="messages", value=str(len(lags))),
            KeyValue(key="lag p50 (s)", value=f"{p50:.6f}"),
            KeyValue(key="lag p99 (s)", value=f"{p99:.6f}"),
            KeyValue(key="allocations refused", value=str(refused_allocations)),
        ],
    )
