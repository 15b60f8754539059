# SPDX-License-Identifier: Apache-2.0
"""Messages of what the twin says: verdicts, and the status of a robot's twin."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any

from ir_common.ros_time import to_stamp
from ir_common.verdict_kinds import VerdictMode
from ir_interfaces.msg import TwinStatus
from ir_interfaces.msg import Verdict as VerdictMessage
from ir_twin.verdict import Array, Verdict


def fill_verdict(
    message: VerdictMessage, verdict: Verdict, *, sequence: int, mode: str, action: Array | None, latency: float
) -> None:
    """Puts a verdict into a message, all but the header.

    Args:
        message: to be filled; one may be filled again and again, which is faster.
        verdict: on the action.
        sequence: number of the proposal.
        mode: of the twin: off, shadow or enforce.
        action: proposed [num_action]; None: no valid command.
        latency: from the proposal's arrival until the command was sent, s.
    """
    message.sequence = sequence
    message.mode = VerdictMode[mode.upper()]
    message.accepted, message.sent_safe_action = verdict.accepted, verdict.sent_safe_action
    message.reason, message.model_version = int(verdict.reason), verdict.model_version
    message.predicted_reward, message.threshold = verdict.predicted_reward, verdict.threshold
    message.sent_as, message.sent_risk = int(verdict.sent_as), verdict.sent_risk
    message.risk, message.risk_limit = verdict.risk, verdict.risk_limit
    message.proposed = array("d", () if action is None else action)
    message.sent = array("d", verdict.sent)
    message.latency = latency


def twin_status_message(robot: str, status: Mapping[str, Any], now: int) -> TwinStatus:
    """The message of `TwinEngine.status`; ``now`` is ns of ROS time."""
    message = TwinStatus(**status)
    message.header.stamp, message.header.frame_id = to_stamp(now), robot
    return message
