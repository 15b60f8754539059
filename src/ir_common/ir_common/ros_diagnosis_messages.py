# SPDX-License-Identifier: Apache-2.0
"""Diagnoses as messages."""

from __future__ import annotations

from collections.abc import Iterable

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from ir_common.diagnosis import Status
from ir_common.ros_time import to_stamp


def diagnostics_message(found: Iterable[Status], now: int) -> DiagnosticArray:
    """Diagnoses as a message; ``now`` is ns of ROS time."""
    message = DiagnosticArray(
        status=[
            DiagnosticStatus(
                name=one.name,
                level=bytes([one.level]),
                message=one.message,
                hardware_id=one.host,
                values=[KeyValue(key=key, value=value) for key, value in one.values.items()],
            )
            for one in found
        ]
    )
    message.header.stamp = to_stamp(now)
    return message
